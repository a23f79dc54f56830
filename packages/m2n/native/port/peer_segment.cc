#if defined(__linux__)

#include "port/peer_segment.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>

#include "port/port_error.hpp"
#include "protocol/frame.hpp"
#include "protocol/wire_format.hpp"
#include "shm/doorbell.hpp"

namespace megascale::m2n {
namespace {

constexpr std::chrono::milliseconds kMappedPoll{1};

std::int32_t MagicOf(SegmentRole role) {
  return role == SegmentRole::kAttention ? SegmentMagic::kAttention : SegmentMagic::kExpert;
}

std::int64_t BytesOf(SegmentRole role, const PortShape& shape) {
  return role == SegmentRole::kAttention ? LayoutOfAttentionSegment(shape).byte_length
                                         : ExpertSegmentBytes(shape);
}

Segment Open(const std::string& name, const SegmentPlace& place, std::int64_t byte_length) {
  try {
    return OpenSegment(place.owner.process_id, place.fd, static_cast<std::size_t>(byte_length));
  } catch (const std::exception& error) {
    throw PortError(PortErrorCode::kPeerClosed,
                    "The memory of " + name + " cannot be reached: " + error.what());
  }
}

}  // namespace

MappedSegment::~MappedSegment() {
  CloseDescriptor();
  if (segment_.data != nullptr) UnmapSegment(segment_);
}

MappedSegment::MappedSegment(MappedSegment&& other) noexcept
    : segment_(std::exchange(other.segment_, Segment{})) {}

void MappedSegment::CloseDescriptor() noexcept {
  CloseSegmentDescriptor(std::exchange(segment_.fd, -1));
}

std::string NameOfRank(SegmentRole role, std::int64_t rank) {
  return (role == SegmentRole::kAttention ? "attention rank " : "expert rank ") +
         std::to_string(rank);
}

OwnSegment::OwnSegment(SegmentRole role, const EndOptions& options)
    : name_(NameOfRank(role, options.rank)),
      segment_(
          CreateSegment(static_cast<std::size_t>(BytesOf(role, options.shape)), options.pages)),
      place_{.owner = CurrentThread(), .fd = segment_.fd()} {
  std::random_device random;
  for (std::int32_t& word : place_.nonce) word = static_cast<std::int32_t>(random());
  std::int32_t* const header = words();
  header[SegmentWord::kMagic] = MagicOf(role);
  header[SegmentWord::kVersion] = static_cast<std::int32_t>(kProtocolVersion);
  header[SegmentWord::kNonceLow] = place_.nonce[0];
  header[SegmentWord::kNonceHigh] = place_.nonce[1];
  header[SegmentWord::kLayoutHash] = options.layout_hash;
  header[SegmentWord::kRank] = options.rank;
  StoreRelease(header + SegmentWord::kState, SegmentState::kOpen);
}

void OwnSegment::Close() { StoreRelease(words() + SegmentWord::kState, SegmentState::kClosed); }

void OwnSegment::AwaitMapped(SegmentRole peers, std::int64_t count, std::int64_t timeout_us) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(timeout_us);
  for (std::int64_t rank = 0; rank < count;) {
    if (LoadAcquire(words() + SegmentWord::kPeerMapped + rank) != 0) {
      ++rank;
    } else if (std::chrono::steady_clock::now() >= end) {
      throw PortError(PortErrorCode::kPeerTimeout,
                      name_ + " waited " + std::to_string(timeout_us / 1000) + " ms for " +
                          NameOfRank(peers, rank) + ", which has not opened its end");
    } else {
      std::this_thread::sleep_for(kMappedPoll);
    }
  }
  segment_.CloseDescriptor();
}

PeerSegment::PeerSegment(SegmentRole role, std::int64_t rank, const SegmentPlace& place,
                         const EndOptions& options)
    : name_(NameOfRank(role, rank)),
      owner_(place.owner),
      segment_(Open(name_, place, BytesOf(role, options.shape))) {
  const std::array<std::pair<std::int32_t, std::int64_t>, 6> expected{{
      {SegmentWord::kMagic, MagicOf(role)},
      {SegmentWord::kVersion, kProtocolVersion},
      {SegmentWord::kNonceLow, place.nonce[0]},
      {SegmentWord::kNonceHigh, place.nonce[1]},
      {SegmentWord::kLayoutHash, options.layout_hash},
      {SegmentWord::kRank, rank},
  }};
  for (const auto& [word, value] : expected) {
    if (LoadAcquire(words() + word) == value) continue;
    throw PortError(PortErrorCode::kFrameInvalid, "The memory found at the place of " + name_ +
                                                      " is not its segment: word " +
                                                      std::to_string(word) + " differs");
  }
  StoreRelease(words() + SegmentWord::kPeerMapped + options.rank, 1);
}

bool PeerSegment::IsClosed() const {
  return LoadAcquire(words() + SegmentWord::kState) == SegmentState::kClosed;
}

void PeerSegment::Ring() const {
  std::int32_t* const count = words() + SegmentWord::kDoorbellCount;
  std::atomic_ref(*count).fetch_add(1, std::memory_order_seq_cst);
  std::atomic_ref parked(words()[SegmentWord::kDoorbellParked]);
  if (parked.load(std::memory_order_seq_cst) != 0) WakeParked(count);
}

}  // namespace megascale::m2n

#endif  // __linux__
