#include "tcp/expert_link.hpp"

#include <utility>

#include "protocol/wire_format.hpp"
#include "tcp/messages/slot_parts.hpp"

namespace megascale::m2n {
namespace {

// Rows for `expert_rank`, or -1 when an id or a rank is out of range, or one is there without the
// other.
std::int64_t CheckedRowCount(const SlotParts& parts) {
  const std::int32_t* ids = parts.ExpertIds();
  const std::int32_t* ranks = parts.ExpertRanks();
  const PortShape& shape = parts.port.shape;
  std::int64_t rows = 0;
  for (std::int64_t route = 0; route < parts.RouteCount(); ++route) {
    if (ids[route] < -1 || ids[route] >= shape.expert_count) return -1;
    if (ranks[route] < -1 || ranks[route] >= shape.expert_worker_count) return -1;
    if ((ids[route] == -1) != (ranks[route] == -1)) return -1;
    rows += ranks[route] == parts.expert_rank ? 1 : 0;
  }
  return rows;
}

}  // namespace

ExpertLink::ExpertLink(const PortSetup& port, const PeerSetup& attention,
                       std::shared_ptr<AnonymousMemory> own,
                       std::shared_ptr<AnonymousMemory> mirror)
    : Link(port, attention, std::move(own), mirror),
      layout_(LayoutOfAttentionSegment(port.shape)),
      pair_(layout_.pairs.at(static_cast<std::size_t>(port.rank))),
      frames_(mirror->words(), pair_),
      slots_(static_cast<std::size_t>(port.shape.slot_count)) {}

MessageHandler::Arrival ExpertLink::WorkArrived(const Head& head, MessageParts* in) {
  const Arrival arrival = awaits_routes_ ? RoutesArrived(head, in) : FrameArrived(head, in);
  awaits_routes_ = arrival == Arrival::kMore;
  return arrival;
}

MessageHandler::Arrival ExpertLink::FrameArrived(const Head& head, MessageParts* in) {
  if (!DecodeFrame(head.data(), port_.shape, &frame_)) return Arrival::kInvalid;
  if (frame_.sequence != static_cast<std::int32_t>(received_ + 1)) return Arrival::kInvalid;
  if (frame_.type == FrameType::kPark || frame_.row_count == 0) {
    return BodyBytes(head) == 0 && frame_.row_count == 0 ? Arrival::kComplete : Arrival::kInvalid;
  }
  const auto slot = static_cast<std::size_t>(frame_.micro_batch);
  if (slots_[slot].state != Slot::State::kFree) return Arrival::kInvalid;
  const SlotParts parts{mirror_->bytes(), layout_.slots[slot], port_, port_.rank, frame_.tokens};
  if (BodyBytes(head) < parts.AllRoutesBytes()) return Arrival::kInvalid;
  parts.AddRoutes(in);
  return Arrival::kMore;
}

MessageHandler::Arrival ExpertLink::RoutesArrived(const Head& head, MessageParts* in) {
  const auto slot = static_cast<std::size_t>(frame_.micro_batch);
  const SlotParts parts{mirror_->bytes(), layout_.slots[slot], port_, port_.rank, frame_.tokens};
  if (CheckedRowCount(parts) != frame_.row_count) return Arrival::kInvalid;
  const RowRuns rows = parts.Rows();
  if (BodyBytes(head) != parts.AllRoutesBytes() + rows.TotalBytes()) return Arrival::kInvalid;
  in->AddRows(mirror_->bytes(), rows);
  return Arrival::kComplete;
}

bool ExpertLink::PublishWork(const Head&) {
  ++received_;
  if (frame_.row_count > 0) {
    slots_[static_cast<std::size_t>(frame_.micro_batch)] =
        Slot{.state = Slot::State::kHeld, .sequence = frame_.sequence, .tokens = frame_.tokens};
  }
  frames_.Write(&frame_);
  RingOwnDoorbell();
  return true;
}

bool ExpertLink::NextWork(Head* head, MessageParts* out) {
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.state != Slot::State::kHeld) continue;
    const std::int32_t* reply =
        mirror_->words() + pair_.replies + static_cast<std::int64_t>(index) * kReplyWords;
    if (LoadAcquire(reply + ReplyWord::kSequence) != slot.sequence) continue;
    const AnswersHead answers{.micro_batch = static_cast<std::int32_t>(index),
                              .sequence = slot.sequence};
    status_sent_ = OwnStatus();
    *head = EncodeAnswers(answers, status_sent_);
    const RowRuns rows =
        SlotParts{mirror_->bytes(), layout_.slots[index], port_, port_.rank, slot.tokens}.Answers();
    out->AddRows(mirror_->bytes(), rows);
    SetBodyBytes(head, rows.TotalBytes());
    slot.state = Slot::State::kAnswering;
    answering_ = index;
    return true;
  }
  return false;
}

void ExpertLink::WorkSent() {
  if (slots_[answering_].state == Slot::State::kAnswering) {
    slots_[answering_].state = Slot::State::kFree;
  }
}

}  // namespace megascale::m2n
