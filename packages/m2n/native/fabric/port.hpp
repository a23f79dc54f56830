#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fabric/endpoint.hpp"
#include "fabric/link.hpp"
#include "fabric/mapping.hpp"
#include "shm/doorbell.hpp"

namespace megascale::m2n::fabric {

struct PortOptions {
  bool is_attention = false;
  std::uint32_t rank = 0;
  PortShape shape;
  bool brings_weights = false;
  std::string provider;
  std::string host;
  std::string port;
  int traffic_class = -1;
  // Tests: enclose nothing in notices, and do not rely on the provider's order.
  bool sends_apart = false;
};

// What peers must know to write into this port's memory.
struct PortPlace {
  std::string provider;
  std::vector<std::uint8_t> name;
  RemoteMemory inbox;
  RemoteMemory data;
};

struct PeerName {
  std::uint32_t peer;
  std::vector<std::uint8_t> name;
};

// A port's memory, its peers' copies and what keeps them alike. The waiting thread drives the
// provider; a thread of its own does so while no port waits, and after Close until peers know of
// the end. Safe to use from one thread beside that one.
class Port : private CompletionSink {
 public:
  // Throws std::runtime_error.
  explicit Port(const PortOptions& options);
  // Without Close before it: peers see a thread that ended. Returns within a second, and within
  // three where the process of a peer that closed or was lost still runs.
  ~Port();

  const PortPlace& place() const { return place_; }
  const std::shared_ptr<Mapping>& own() const { return own_; }
  // The copies of all peers' segments, one after the other, and the length of one.
  const std::shared_ptr<Mapping>& mirrors() const { return mirrors_; }
  std::size_t mirror_bytes() const { return mirror_bytes_; }

  // `name` comes from outside. Throws std::runtime_error.
  void Open(std::uint32_t peer, const std::vector<std::uint8_t>& name, PeerPlace place);
  bool IsOpen(std::uint32_t peer);
  std::optional<Loss> LossOf(std::uint32_t peer);
  // Sends what is new for the peer. What the provider does not take now follows by itself.
  void Send(std::uint32_t peer);
  // Returns once the own doorbell's count differs from `wait.seen`, at the timeout, or for no
  // reason.
  void Wait(const DoorbellWait& wait);
  void Close();

 private:
  void OnRemoteWrite(std::uint32_t immediate) override;
  void OnFailure(std::uint32_t peer, const std::string& why) override;

  // mutex_, for lock guards; patient, since its holder may be stuck in the provider.
  class Lock {
   public:
    explicit Lock(Port& port) : port_(port) {}
    void lock();
    void unlock() { port_.mutex_.unlock(); }

   private:
    Port& port_;
  };

  void Run();
  // So that a thread that is stuck in a lock of the provider goes on: its holder was killed. Locks
  // that belong to the living may be left taken too, by someone else who was writing to them.
  void FreeProviderLocks(bool of_living_too);
  // With mutex_ held. True if anything happened.
  bool Progress();
  void RingIfNews(Link& link);
  bool IsFinished(std::int64_t now_us);
  Link& LinkOf(std::uint32_t peer);
  std::int32_t* Words() const { return reinterpret_cast<std::int32_t*>(own_->data()); }

  LinkContext context_;
  std::size_t mirror_bytes_ = 0;
  std::shared_ptr<Mapping> own_;
  std::shared_ptr<Mapping> mirrors_;
  Mapping inbox_;
  Mapping outbox_;
  PortPlace place_;

  std::mutex names_mutex_;
  std::vector<PeerName> peer_names_;  // Changed under both mutexes, read under either.

  std::timed_mutex mutex_;  // Guards all that follows but the atomics. Taken through lock_.
  Lock lock_{*this};
  std::unique_ptr<Endpoint> endpoint_;
  std::vector<std::unique_ptr<Link>> links_;
  std::int64_t ticked_us_ = 0;
  std::int64_t closed_us_ = -1;
  std::condition_variable_any parked_;
  bool is_parked_ = false;                // The port's thread sleeps and relies on the other.
  std::atomic<bool> was_driven_ = false;  // By the port's thread, since the other one looked.
  std::thread thread_;                    // Last: it uses everything above.
};

}  // namespace megascale::m2n::fabric
