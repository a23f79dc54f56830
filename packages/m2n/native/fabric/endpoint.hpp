#pragma once

#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fabric/choose_provider.hpp"
#include "fabric/libfabric.hpp"

namespace megascale::m2n::fabric {

// How a peer names memory that it may write.
struct RemoteMemory {
  std::uint64_t base = 0;
  std::uint64_t key = 0;
};

// Own memory that may be sent from and, by peers that know the key, written.
struct Region {
  RemoteMemory remote;
  void* descriptor = nullptr;
};

// One write into a peer's memory.
struct Write {
  const void* data = nullptr;
  std::size_t bytes = 0;
  void* descriptor = nullptr;  // Of the region `data` lies in.
  fi_addr_t to = FI_ADDR_UNSPEC;
  std::uint64_t address = 0;  // RemoteMemory::base plus an offset.
  std::uint64_t key = 0;
  bool carries_immediate = false;
  std::uint32_t immediate = 0;
  std::uint32_t peer = 0;  // Comes back with a failure.
};

// kFull: the provider takes no more now; drive it and try again.
enum class Posted { kYes, kFull, kFailed };

// What completion queues tell.
class CompletionSink {
 public:
  virtual void OnRemoteWrite(std::uint32_t immediate) = 0;
  // The peer of a write that failed, or kNobody.
  virtual void OnFailure(std::uint32_t peer, const std::string& why) = 0;
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

 protected:
  ~CompletionSink() = default;
};

// A reliable datagram endpoint of one provider with its queues. Not thread-safe. Posting and
// polling neither allocate nor register.
class Endpoint {
 public:
  // Throws std::runtime_error that names the provider and the remedy.
  explicit Endpoint(const EndpointOptions& options);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const std::string& provider() const { return provider_; }
  // Writes to one peer appear in the order they were posted, so the last of several proves all.
  bool keeps_order() const { return keeps_order_; }
  std::vector<std::uint8_t> Name() const;
  // For as long as the endpoint lives.
  Region Register(void* data, std::size_t bytes);
  // `name` comes from outside.
  fi_addr_t Insert(const std::vector<std::uint8_t>& name);

  Posted Post(const Write& write);
  const std::string& failure() const { return failure_; }  // Of the last kFailed.
  // Drives the provider and hands on what completed; true if anything did.
  bool Poll(CompletionSink& sink);
  // Writes posted whose completion has not been seen.
  std::size_t pending() const { return pending_; }
  std::size_t registrations() const { return regions_.size(); }

 private:
  struct Context;
  struct Closer {
    void operator()(fid* object) const { object->ops->close(object); }
  };
  template <class Object>
  struct ObjectCloser {
    void operator()(Object* object) const { Closer()(&object->fid); }
  };
  template <class Object>
  using Handle = std::unique_ptr<Object, ObjectCloser<Object>>;
  void OpenQueues(const EndpointOptions& options);
  void Check(int status, const char* what) const;
  bool PollQueue(fid_cq* queue, CompletionSink& sink);
  void ReportError(fid_cq* queue, CompletionSink& sink);
  void Release(void* context);

  std::string provider_;
  bool keeps_order_ = false;
  Info info_;
  Handle<fid_fabric> fabric_;
  Handle<fid_domain> domain_;
  Handle<fid_av> addresses_;
  Handle<fid_cq> sent_;
  Handle<fid_cq> received_;
  std::vector<Handle<fid_mr>> regions_;
  Handle<fid_ep> endpoint_;  // Last: closed before what it is bound to.
  std::vector<Context> contexts_;
  Context* free_contexts_ = nullptr;
  std::size_t pending_ = 0;
  std::string failure_;
};

}  // namespace megascale::m2n::fabric
