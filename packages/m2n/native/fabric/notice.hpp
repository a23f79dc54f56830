#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/wire_format.hpp"

namespace megascale::m2n::fabric {

// Two cache lines that end every message between a pair of ranks. They are written into a ring of
// kNotices in the receiver's inbox; the write's immediate data says which entry of whose ring. What
// is small follows them in the same write, so that a small message is one write.
inline constexpr std::uint32_t kNotices = 128;
inline constexpr std::size_t kNoticeWords = 2 * static_cast<std::size_t>(kCacheLineWords);
inline constexpr std::size_t kNoticeBytes = kNoticeWords * sizeof(std::int32_t);
// Of an entry of the ring, at most; less where many peers would make the inbox large.
inline constexpr std::size_t kEntryBytesMax = 4096;
inline constexpr std::size_t kInboxesBytesMax = std::size_t{64} << 20;
// Entries kept for acknowledgements, so that two full rings can still empty each other.
inline constexpr std::uint32_t kNoticesForStatus = 16;

// Of an entry in the inbox of a port with so many peers: whole notices.
constexpr std::size_t EntryBytes(std::size_t peers) {
  const std::size_t share = kInboxesBytesMax / std::max<std::size_t>(peers, 1) / kNotices;
  return std::clamp(share - share % kNoticeBytes, kNoticeBytes, kEntryBytesMax);
}

using Notice = std::array<std::int32_t, kNoticeWords>;

struct NoticeKind {
  static constexpr std::int32_t kHello = 1;
  static constexpr std::int32_t kFrame = 2;
  static constexpr std::int32_t kReply = 3;
  static constexpr std::int32_t kStatus = 4;
};

struct NoticeWord {
  static constexpr std::size_t kKind = 0;
  // 1, 2, 3 … of this direction of the pair.
  static constexpr std::size_t kSequence = 1;
  // Other writes of the message that carry immediate data.
  static constexpr std::size_t kParts = 2;
  // Notices of the receiver that the sender has read.
  static constexpr std::size_t kTaken = 3;
  // Statuses: one of SegmentState; kLost: the sender's thread ended without closing its port.
  static constexpr std::size_t kState = 4;
  // Of expert ranks, in every notice: SegmentWord's, and their end of the frame ring.
  static constexpr std::size_t kStepSeenLow = 5;
  static constexpr std::size_t kStepSeenHigh = 6;
  static constexpr std::size_t kWaitsFor = 7;
  static constexpr std::size_t kRingTail = 8;
  // Bytes of the message's parts that follow the notice, one part after the other. 0: they came
  // before it, where they belong.
  static constexpr std::size_t kEnclosedBytes = 9;
  // Replies: the micro-batch, then its entry of PairWords::replies.
  static constexpr std::size_t kSlot = 12;
  // Replies: kReplyWords. Frames: kFrameWords. Hellos: the first words of the sender's segment,
  // kRank included, and the receiver's nonce.
  static constexpr std::size_t kBody = 16;
};

inline constexpr std::size_t kHeaderWords = SegmentWord::kRank + 1;

// What a write says on arrival. It fits 18 bits; providers carry at least 32.
struct Immediate {
  std::uint32_t rank = 0;   // The sender's.
  std::uint32_t entry = 0;  // Of its ring: which message.
  bool is_notice = false;   // Else a part of the message.

  std::uint32_t Pack() const { return rank << 8 | entry << 1 | (is_notice ? 1U : 0U); }
  static Immediate Unpack(std::uint32_t word) {
    return {.rank = word >> 8, .entry = word >> 1 & (kNotices - 1), .is_notice = (word & 1) != 0};
  }
};
static_assert(kNotices == 128 && kWorkersMax <= 1 << 24);

}  // namespace megascale::m2n::fabric
