#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/wire_format.hpp"

namespace megascale::m2n {

// A message of the tcp transport is a head of one cache line, then what the head announces, then,
// where a pre-shared key is used, a tag over all of it. All words are little-endian. The head of a
// frame is the frame itself (protocol/frame.hpp); its last word, which a frame leaves empty,
// announces the bytes between head and tag, as in every head: src/tcp-options.ts refuses slots that
// would need more than it can count.
inline constexpr std::size_t kHeadWords = kFrameWords;
inline constexpr std::size_t kHeadBytes = kHeadWords * sizeof(std::int32_t);
inline constexpr std::size_t kTagBytes = 16;
using Head = std::array<std::int32_t, kHeadWords>;

// First words of heads; those of frames are FrameKind's.
struct MessageKind {
  static constexpr std::int32_t kHello = FrameKind::kRows - 1 + 16;
  static constexpr std::int32_t kWelcome = FrameKind::kRows - 1 + 17;
  static constexpr std::int32_t kRefusal = FrameKind::kRows - 1 + 18;
  static constexpr std::int32_t kAnswers = FrameKind::kRows - 1 + 19;
  static constexpr std::int32_t kStatus = FrameKind::kRows - 1 + 20;
  static constexpr std::int32_t kClose = FrameKind::kRows - 1 + 21;
};

struct HeadWord {
  static constexpr std::size_t kKind = 0;
  static constexpr std::size_t kBodyBytes = 15;  // Unsigned.
};

// The version in a head's first word, or -1 when the word is of no message.
int VersionOf(std::int32_t kind);

std::int64_t BodyBytes(const Head& head);
void SetBodyBytes(Head* head, std::int64_t bytes);

// Both sides say who they are and whom they mean. An attention rank's hello is answered by a
// welcome with the same contents.
struct Greeting {
  std::int32_t attention_rank = 0;
  std::int32_t expert_rank = 0;
  std::array<std::int32_t, 2> attention_nonce{};
  std::array<std::int32_t, 2> expert_nonce{};
  std::int32_t layout_hash = 0;
  bool authenticated = false;
  bool combines_at_experts = false;

  bool operator==(const Greeting&) const = default;
};
Head EncodeGreeting(std::int32_t kind, const Greeting& greeting);
Greeting DecodeGreeting(const Head& head);

enum class RefusalReason : std::int32_t {
  kVersion = 1,
  kNotExpected = 2,
  kNotAuthentic = 3,
  kTwice = 4
};
Head EncodeRefusal(RefusalReason reason);
RefusalReason RefusalReasonOf(const Head& head);

// What attention ranks read of an expert rank's segment.
struct Status {
  std::int64_t step_seen = 0;
  std::int32_t waits_for = 0;

  bool operator==(const Status&) const = default;
};

// Answers to the rows of one frame.
struct AnswersHead {
  std::int32_t micro_batch = 0;
  std::int32_t sequence = 0;
};

// kAnswers, kStatus, kClose.
Head EncodeAnswers(const AnswersHead& answers, const Status& status);
AnswersHead DecodeAnswers(const Head& head);
Head EncodeStatus(std::int32_t kind, const Status& status);
Status DecodeStatus(const Head& head);

}  // namespace megascale::m2n
