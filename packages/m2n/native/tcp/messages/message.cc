#include "tcp/messages/message.hpp"

#include <bit>

#include "protocol/frame.hpp"

namespace megascale::m2n {
namespace {

static_assert(std::endian::native == std::endian::little, "Words travel as they lie in memory.");

struct GreetingWord {
  static constexpr std::size_t kAttentionRank = 2;
  static constexpr std::size_t kExpertRank = 3;
  static constexpr std::size_t kAttentionNonce = 4;
  static constexpr std::size_t kExpertNonce = 6;
  static constexpr std::size_t kLayoutHash = 8;
  static constexpr std::size_t kFlags = 9;
};

constexpr std::int32_t kAuthenticatedFlag = 1;
constexpr std::int32_t kCombinesAtExpertsFlag = 2;

constexpr std::size_t kRefusalReasonWord = 2;

struct StatusWord {
  static constexpr std::size_t kMicroBatch = 2;
  static constexpr std::size_t kSequence = 3;
  static constexpr std::size_t kStepSeen = 4;
  static constexpr std::size_t kWaitsFor = 6;
};

void PutLong(Head* head, std::size_t word, std::int64_t value) {
  (*head)[word] = static_cast<std::int32_t>(value);
  (*head)[word + 1] = static_cast<std::int32_t>(value >> 32);
}

std::int64_t GetLong(const Head& head, std::size_t word) {
  return (static_cast<std::int64_t>(head[word + 1]) << 32) | static_cast<std::uint32_t>(head[word]);
}

}  // namespace

int VersionOf(std::int32_t kind) {
  if ((kind >> 16) != (FrameKind::kRows >> 16)) return -1;
  return (kind >> 8) & 0xff;
}

std::int64_t BodyBytes(const Head& head) {
  return static_cast<std::uint32_t>(head[HeadWord::kBodyBytes]);
}

void SetBodyBytes(Head* head, std::int64_t bytes) {
  (*head)[HeadWord::kBodyBytes] = static_cast<std::int32_t>(bytes);
}

Head EncodeGreeting(std::int32_t kind, const Greeting& greeting) {
  Head head{};
  head[HeadWord::kKind] = kind;
  head[GreetingWord::kAttentionRank] = greeting.attention_rank;
  head[GreetingWord::kExpertRank] = greeting.expert_rank;
  for (std::size_t word = 0; word < 2; ++word) {
    head[GreetingWord::kAttentionNonce + word] = greeting.attention_nonce[word];
    head[GreetingWord::kExpertNonce + word] = greeting.expert_nonce[word];
  }
  head[GreetingWord::kLayoutHash] = greeting.layout_hash;
  head[GreetingWord::kFlags] = (greeting.authenticated ? kAuthenticatedFlag : 0) |
                               (greeting.combines_at_experts ? kCombinesAtExpertsFlag : 0);
  return head;
}

Greeting DecodeGreeting(const Head& head) {
  Greeting greeting;
  greeting.attention_rank = head[GreetingWord::kAttentionRank];
  greeting.expert_rank = head[GreetingWord::kExpertRank];
  for (std::size_t word = 0; word < 2; ++word) {
    greeting.attention_nonce[word] = head[GreetingWord::kAttentionNonce + word];
    greeting.expert_nonce[word] = head[GreetingWord::kExpertNonce + word];
  }
  greeting.layout_hash = head[GreetingWord::kLayoutHash];
  greeting.authenticated = (head[GreetingWord::kFlags] & kAuthenticatedFlag) != 0;
  greeting.combines_at_experts = (head[GreetingWord::kFlags] & kCombinesAtExpertsFlag) != 0;
  return greeting;
}

Head EncodeRefusal(RefusalReason reason) {
  Head head{};
  head[HeadWord::kKind] = MessageKind::kRefusal;
  head[kRefusalReasonWord] = static_cast<std::int32_t>(reason);
  return head;
}

RefusalReason RefusalReasonOf(const Head& head) {
  return static_cast<RefusalReason>(head[kRefusalReasonWord]);
}

Head EncodeStatus(std::int32_t kind, const Status& status) {
  Head head{};
  head[HeadWord::kKind] = kind;
  PutLong(&head, StatusWord::kStepSeen, status.step_seen);
  head[StatusWord::kWaitsFor] = status.waits_for;
  return head;
}

Status DecodeStatus(const Head& head) {
  return Status{.step_seen = GetLong(head, StatusWord::kStepSeen),
                .waits_for = head[StatusWord::kWaitsFor]};
}

Head EncodeAnswers(const AnswersHead& answers, const Status& status) {
  Head head = EncodeStatus(MessageKind::kAnswers, status);
  head[StatusWord::kMicroBatch] = answers.micro_batch;
  head[StatusWord::kSequence] = answers.sequence;
  return head;
}

AnswersHead DecodeAnswers(const Head& head) {
  return AnswersHead{.micro_batch = head[StatusWord::kMicroBatch],
                     .sequence = head[StatusWord::kSequence]};
}

}  // namespace megascale::m2n
