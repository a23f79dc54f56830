#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "port/end_options.hpp"
#include "shm/segment.hpp"
#include "shm/thread_identity.hpp"

namespace megascale::m2n {

// Where an end's segment can be reached. Plain data: programs trade it as they like, as bytes over
// a pipe or as the fields of an address that a TypeScript port sends.
struct SegmentPlace {
  ThreadIdentity owner;
  std::int32_t fd = -1;
  std::array<std::int32_t, 2> nonce{};  // Repeated in the segment's header.
};

// A mapping of a segment; it ends with this object.
class MappedSegment {
 public:
  explicit MappedSegment(const Segment& segment) : segment_(segment) {}
  ~MappedSegment();
  MappedSegment(MappedSegment&& other) noexcept;
  MappedSegment(const MappedSegment&) = delete;
  MappedSegment& operator=(const MappedSegment&) = delete;
  MappedSegment& operator=(MappedSegment&&) = delete;

  std::int32_t* words() const { return static_cast<std::int32_t*>(segment_.data); }
  std::byte* bytes() const { return static_cast<std::byte*>(segment_.data); }
  int fd() const { return segment_.fd; }
  void CloseDescriptor() noexcept;

 private:
  Segment segment_;
};

enum class SegmentRole { kAttention, kExpert };

// "attention rank 0", for messages.
std::string NameOfRank(SegmentRole role, std::int64_t rank);

// The segment of this thread's end, open for its peers.
class OwnSegment {
 public:
  OwnSegment(SegmentRole role, const EndOptions& options);
  ~OwnSegment() { Close(); }
  OwnSegment(const OwnSegment&) = delete;
  OwnSegment& operator=(const OwnSegment&) = delete;

  const SegmentPlace& place() const { return place_; }
  std::int32_t* words() const { return segment_.words(); }
  std::byte* bytes() const { return segment_.bytes(); }
  // Says to whoever looks that this end is over.
  void Close();
  // Returns once ranks 0 … count - 1 of `peers` have mapped this segment; nobody can any more.
  // Throws PortError kPeerTimeout.
  void AwaitMapped(SegmentRole peers, std::int64_t count, std::int64_t timeout_us);

 private:
  std::string name_;
  MappedSegment segment_;
  SegmentPlace place_;
};

// The segment of a rank of the other pool.
class PeerSegment {
 public:
  // Maps it and checks its header. Throws PortError kPeerClosed, kFrameInvalid.
  PeerSegment(SegmentRole role, std::int64_t rank, const SegmentPlace& place,
              const EndOptions& options);

  const std::string& name() const { return name_; }
  std::int32_t* words() const { return segment_.words(); }
  std::byte* bytes() const { return segment_.bytes(); }
  bool IsClosed() const;
  bool IsAlive() const { return m2n::IsAlive(owner_); }  // Costs a system call.
  // Call after the words that the owner shall see were stored.
  void Ring() const;

 private:
  std::string name_;
  ThreadIdentity owner_;
  MappedSegment segment_;
};

}  // namespace megascale::m2n
