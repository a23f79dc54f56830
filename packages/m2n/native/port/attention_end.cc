#if defined(__linux__)

#include "port/attention_end.hpp"

#include <algorithm>
#include <string>

#include "port/port_error.hpp"
#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

// Readers of a ring do not ring when they make room; how often to look.
constexpr std::int64_t kRoomPollUs = 200;

}  // namespace

AttentionEnd::AttentionEnd(const EndOptions& options)
    : options_(options),
      layout_(LayoutOfAttentionSegment(options.shape)),
      own_(SegmentRole::kAttention, options),
      row_counts_(static_cast<std::size_t>(options.shape.expert_worker_count)),
      positions_(static_cast<std::size_t>(options.shape.slot_count)),
      debts_(row_counts_.size() * positions_.size()) {
  for (const PairWords& pair : layout_.pairs) writers_.emplace_back(own_.words(), pair);
}

AttentionEnd::~AttentionEnd() {
  own_.Close();
  for (const PeerSegment& expert : experts_) expert.Ring();
}

void AttentionEnd::Join(const std::vector<SegmentPlace>& experts) {
  experts_.clear();
  for (std::size_t rank = 0; rank < writers_.size(); ++rank) {
    experts_.emplace_back(SegmentRole::kExpert, rank, experts.at(rank), options_);
  }
  own_.AwaitMapped(SegmentRole::kExpert, options_.shape.expert_worker_count, options_.timeout_us);
}

AttentionEndSlot AttentionEnd::slot(std::int32_t micro_batch) const {
  const SlotSpans& spans = layout_.slots.at(static_cast<std::size_t>(micro_batch));
  std::byte* const bytes = own_.bytes();
  return AttentionEndSlot{
      .hidden = bytes + spans.hidden.byte_offset,
      .expert_ids = reinterpret_cast<std::int32_t*>(bytes + spans.expert_ids.byte_offset),
      .expert_ranks = reinterpret_cast<std::int32_t*>(bytes + spans.expert_ranks.byte_offset),
      .weights = reinterpret_cast<float*>(bytes + spans.weights.byte_offset),
      .answers = bytes + spans.answers.byte_offset};
}

void AttentionEnd::Dispatch(const Position& at, const Position& next, std::int32_t tokens) {
  CountRoutes(at, tokens);
  positions_[static_cast<std::size_t>(at.micro_batch)] = at;
  Frame frame;
  static_cast<Position&>(frame) = at;
  frame.next = next;
  frame.tokens = tokens;
  frame.placement_epoch = options_.placement_epoch;
  for (std::size_t expert = 0; expert < experts_.size(); ++expert) {
    frame.row_count = row_counts_[expert];
    Send(expert, &frame);
    DebtOf(at.micro_batch, expert) = {.owed = frame.row_count > 0, .sequence = frame.sequence};
  }
}

void AttentionEnd::Combine(std::int32_t micro_batch) {
  const Position& at = positions_.at(static_cast<std::size_t>(micro_batch));
  for (std::size_t expert = 0; expert < experts_.size(); ++expert) {
    if (HasAnswered(micro_batch, expert)) continue;
    EndWait wait(own_.words(), options_, options_.timeout_us);
    for (;;) {
      const std::int32_t seen = wait.Seen();
      // It may have answered just before its end.
      const bool closed = experts_[expert].IsClosed();
      if (HasAnswered(micro_batch, expert)) break;
      CheckPeer(expert, at, closed, &wait);
      wait.Sleep(seen);
    }
  }
}

bool AttentionEnd::IsAnswered(std::int32_t micro_batch) {
  for (std::size_t expert = 0; expert < experts_.size(); ++expert) {
    if (!HasAnswered(micro_batch, expert)) return false;
  }
  return true;
}

void AttentionEnd::Park() {
  Frame frame;
  frame.type = FrameType::kPark;
  for (std::size_t expert = 0; expert < experts_.size(); ++expert) Send(expert, &frame);
}

std::int64_t AttentionEnd::StepSeen() const {
  std::int64_t step = 0;
  for (const PeerSegment& expert : experts_) {
    step = std::max(step, LoadLong(expert.words() + SegmentWord::kStepSeenLow));
  }
  return step;
}

void AttentionEnd::CountRoutes(const Position& at, std::int32_t tokens) {
  const PortShape& shape = options_.shape;
  if (at.micro_batch < 0 || at.micro_batch >= shape.slot_count || tokens < 0 ||
      tokens > shape.tokens_per_slot_max) {
    throw PortError(PortErrorCode::kSlotOverflow,
                    "There are " + std::to_string(shape.slot_count) + " slots of " +
                        std::to_string(shape.tokens_per_slot_max) + " tokens: no room for " +
                        std::to_string(tokens) + " in slot " + std::to_string(at.micro_batch));
  }
  const AttentionEndSlot memory = slot(at.micro_batch);
  std::fill(row_counts_.begin(), row_counts_.end(), 0);
  for (std::int64_t route = 0; route < tokens * shape.top_k; ++route) {
    const std::int32_t id = memory.expert_ids[route];
    memory.expert_ranks[route] = -1;
    if (id == -1) continue;
    if (id < 0 || static_cast<std::size_t>(id) >= options_.rank_of_expert.size()) {
      throw PortError(PortErrorCode::kFrameInvalid,
                      "Token " + std::to_string(route / shape.top_k) + " is routed to expert " +
                          std::to_string(id) + ", which there is not");
    }
    const std::int32_t rank = options_.rank_of_expert[static_cast<std::size_t>(id)];
    memory.expert_ranks[route] = rank;
    ++row_counts_.at(static_cast<std::size_t>(rank));
  }
}

void AttentionEnd::Send(std::size_t expert, Frame* frame) {
  if (writers_[expert].Room() <= 0) AwaitRoom(expert, *frame);
  writers_[expert].Write(frame);
  experts_[expert].Ring();
}

void AttentionEnd::AwaitRoom(std::size_t expert, const Position& at) {
  EndWait wait(own_.words(), options_, options_.timeout_us);
  for (;;) {
    const std::int32_t seen = wait.Seen();
    const std::int32_t room = writers_[expert].Room();
    if (room > 0) return;
    if (room < 0) {
      throw PortError(PortErrorCode::kFrameInvalid,
                      experts_[expert].name() + " read frames never sent");
    }
    CheckPeer(expert, at, experts_[expert].IsClosed(), &wait);
    wait.Sleep(seen, kRoomPollUs);
  }
}

AttentionEnd::Debt& AttentionEnd::DebtOf(std::int32_t micro_batch, std::size_t expert) {
  return debts_[static_cast<std::size_t>(micro_batch) * experts_.size() + expert];
}

bool AttentionEnd::HasAnswered(std::int32_t micro_batch, std::size_t expert) {
  Debt& debt = DebtOf(micro_batch, expert);
  if (!debt.owed) return true;
  const std::int64_t reply = layout_.pairs[expert].replies + micro_batch * kReplyWords;
  debt.owed = LoadAcquire(own_.words() + reply + ReplyWord::kSequence) != debt.sequence;
  return !debt.owed;
}

void AttentionEnd::CheckPeer(std::size_t expert, const Position& at, bool closed,
                             EndWait* wait) const {
  const PeerSegment& peer = experts_[expert];
  const bool dead = !closed && wait->LifeCheckIsDue() && !peer.IsAlive();
  if (!closed && !dead && !wait->IsOver()) return;
  throw PortError(closed || dead ? PortErrorCode::kPeerClosed : PortErrorCode::kPeerTimeout,
                  NameOfRank(SegmentRole::kAttention, options_.rank) + " at layer " +
                      std::to_string(at.layer) + ", micro-batch " + std::to_string(at.micro_batch) +
                      " waited " + std::to_string(wait->WaitedUs() / 1000) + " ms for " +
                      peer.name() +
                      (closed ? ", but it closed"
                       : dead ? ", but its thread has ended"
                              : ""));
}

}  // namespace megascale::m2n

#endif  // __linux__
