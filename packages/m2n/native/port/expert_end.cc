#if defined(__linux__)

#include "port/expert_end.hpp"

#include <algorithm>
#include <string>

#include "port/port_error.hpp"
#include "protocol/wire_format.hpp"

namespace megascale::m2n {

ExpertEnd::ExpertEnd(const EndOptions& options)
    : options_(options),
      layout_(LayoutOfAttentionSegment(options.shape)),
      own_(SegmentRole::kExpert, options) {}

ExpertEnd::~ExpertEnd() {
  own_.Close();
  for (const PeerSegment& rank : attention_) rank.Ring();
}

void ExpertEnd::Join(const std::vector<SegmentPlace>& attention) {
  const auto count = static_cast<std::size_t>(options_.shape.attention_worker_count);
  const PairWords& pair = layout_.pairs.at(static_cast<std::size_t>(options_.rank));
  attention_.clear();
  readers_.clear();
  for (std::size_t rank = 0; rank < count; ++rank) {
    attention_.emplace_back(SegmentRole::kAttention, rank, attention.at(rank), options_);
    readers_.emplace_back(attention_.back().words(), pair, options_.shape);
  }
  own_.AwaitMapped(SegmentRole::kAttention, options_.shape.attention_worker_count,
                   options_.timeout_us);
}

Received ExpertEnd::Receive(ReceivedFrame* received, std::int64_t timeout_us) {
  EndWait wait(own_.words(), options_, timeout_us);
  for (;;) {
    const std::int32_t seen = wait.Seen();
    for (std::size_t tried = 0; tried < attention_.size(); ++tried) {
      const std::size_t rank = (next_rank_ + tried) % attention_.size();
      if (!TakeFrame(rank, received)) continue;
      next_rank_ = (rank + 1) % attention_.size();
      return Received::kFrame;
    }
    if (AllClosed()) return Received::kEnded;
    if (wait.LifeCheckIsDue()) CheckLives();
    if (wait.IsOver()) return Received::kNothing;
    wait.Sleep(seen);
  }
}

void ExpertEnd::Reply(const ReceivedFrame& received) {
  const PeerSegment& peer = attention_.at(static_cast<std::size_t>(received.attention_rank));
  const PairWords& pair = layout_.pairs[static_cast<std::size_t>(options_.rank)];
  const std::int64_t reply = pair.replies + received.frame.micro_batch * kReplyWords;
  StoreRelease(peer.words() + reply + ReplyWord::kSequence, received.frame.sequence);
  peer.Ring();
}

// False when this rank has sent nothing with rows.
bool ExpertEnd::TakeFrame(std::size_t rank, ReceivedFrame* received) {
  // What a closed rank sent nobody waits for.
  if (attention_[rank].IsClosed()) return false;
  for (;;) {
    const ReadResult result = readers_[rank].Read(&received->frame);
    if (result == ReadResult::kEmpty) return false;
    if (result == ReadResult::kInvalid) {
      throw PortError(PortErrorCode::kFrameInvalid,
                      NameOfRank(SegmentRole::kExpert, options_.rank) +
                          " found an invalid frame of " + attention_[rank].name());
    }
    if (received->frame.type == FrameType::kPark) continue;
    if (received->frame.step > step_seen_) {
      step_seen_ = received->frame.step;
      StoreLong(own_.words() + SegmentWord::kStepSeenLow, step_seen_);
    }
    if (received->frame.row_count == 0) continue;
    if (received->frame.placement_epoch != options_.placement_epoch) {
      throw PortError(PortErrorCode::kFrameInvalid,
                      NameOfRank(SegmentRole::kExpert, options_.rank) + " found a frame of " +
                          attention_[rank].name() + " in placement epoch " +
                          std::to_string(received->frame.placement_epoch) + ", but serves " +
                          std::to_string(options_.placement_epoch) + " alone");
    }
    received->attention_rank = static_cast<std::int32_t>(rank);
    CollectRows(received);
    return true;
  }
}

void ExpertEnd::CollectRows(ReceivedFrame* received) const {
  const PortShape& shape = options_.shape;
  const PeerSegment& peer = attention_[static_cast<std::size_t>(received->attention_rank)];
  const SlotSpans& spans = layout_.slots[static_cast<std::size_t>(received->frame.micro_batch)];
  const auto* ids =
      reinterpret_cast<const std::int32_t*>(peer.bytes() + spans.expert_ids.byte_offset);
  const auto* ranks =
      reinterpret_cast<const std::int32_t*>(peer.bytes() + spans.expert_ranks.byte_offset);
  received->rows.clear();
  received->rows.reserve(static_cast<std::size_t>(shape.tokens_per_slot_max * shape.top_k));
  for (std::int32_t token = 0, route = 0; token < received->frame.tokens; ++token) {
    for (std::int64_t k = 0; k < shape.top_k; ++k, ++route) {
      // The sender may change the words meanwhile: each is read once.
      if (LoadAcquire(ranks + route) != options_.rank) continue;
      received->rows.push_back(ReceivedRow{
          .expert_id = LoadAcquire(ids + route),
          .token = token,
          .hidden = peer.bytes() + spans.hidden.byte_offset + token * shape.RowBytes(),
          .answer = peer.bytes() + spans.answers.byte_offset + route * shape.RowBytes()});
    }
  }
  const bool known =
      std::all_of(received->rows.begin(), received->rows.end(), [&](const ReceivedRow& row) {
        return row.expert_id >= 0 && row.expert_id < shape.expert_count;
      });
  if (known && static_cast<std::int64_t>(received->rows.size()) == received->frame.row_count) {
    return;
  }
  throw PortError(PortErrorCode::kFrameInvalid, NameOfRank(SegmentRole::kExpert, options_.rank) +
                                                    " found invalid routes in a slot of " +
                                                    peer.name());
}

bool ExpertEnd::AllClosed() const {
  return std::all_of(attention_.begin(), attention_.end(),
                     [](const PeerSegment& peer) { return peer.IsClosed(); });
}

void ExpertEnd::CheckLives() const {
  for (const PeerSegment& peer : attention_) {
    if (peer.IsClosed() || peer.IsAlive() || peer.IsClosed()) continue;
    throw PortError(PortErrorCode::kPeerClosed, NameOfRank(SegmentRole::kExpert, options_.rank) +
                                                    " waited for " + peer.name() +
                                                    ", but its thread has ended");
  }
}

}  // namespace megascale::m2n

#endif  // __linux__
