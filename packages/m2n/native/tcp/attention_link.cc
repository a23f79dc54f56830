#include "tcp/attention_link.hpp"

#include <utility>

#include "protocol/wire_format.hpp"
#include "tcp/messages/slot_parts.hpp"

namespace megascale::m2n {

AttentionLink::AttentionLink(const PortSetup& port, const PeerSetup& expert,
                             std::shared_ptr<AnonymousMemory> own,
                             std::shared_ptr<AnonymousMemory> mirror)
    : Link(port, expert, own, std::move(mirror)),
      layout_(LayoutOfAttentionSegment(port.shape)),
      pair_(layout_.pairs.at(static_cast<std::size_t>(expert.rank))),
      frames_(own->words(), pair_, port.shape),
      owed_(static_cast<std::size_t>(port.shape.slot_count)) {}

// The ring's frame is copied and its place free at once: what the network cannot take yet stays in
// the ring behind it.
bool AttentionLink::NextWork(Head* head, MessageParts* out) {
  Frame frame;
  if (frames_.Read(&frame) != ReadResult::kFrame) return false;
  EncodeFrame(frame, head->data());
  if (frame.type == FrameType::kPark || frame.row_count == 0) return true;
  const auto slot = static_cast<std::size_t>(frame.micro_batch);
  const SlotParts parts{own_->bytes(), layout_.slots[slot], port_, peer_.rank, frame.tokens};
  const RowRuns rows = parts.Rows();
  parts.AddRoutes(out);
  out->AddRows(own_->bytes(), rows);
  SetBodyBytes(head, parts.AllRoutesBytes() + rows.TotalBytes());
  owed_[slot] = Owed{.is_owed = true, .sequence = frame.sequence, .tokens = frame.tokens};
  return true;
}

MessageHandler::Arrival AttentionLink::WorkArrived(const Head& head, MessageParts* in) {
  if (head[HeadWord::kKind] != MessageKind::kAnswers) return Arrival::kInvalid;
  const AnswersHead answers = DecodeAnswers(head);
  if (answers.micro_batch < 0 || answers.micro_batch >= port_.shape.slot_count) {
    return Arrival::kInvalid;
  }
  const auto slot = static_cast<std::size_t>(answers.micro_batch);
  const Owed& owed = owed_[slot];
  if (!owed.is_owed || owed.sequence != answers.sequence) return Arrival::kInvalid;
  const RowRuns rows =
      SlotParts{own_->bytes(), layout_.slots[slot], port_, peer_.rank, owed.tokens}.Answers();
  if (BodyBytes(head) != rows.TotalBytes()) return Arrival::kInvalid;
  in->AddRows(own_->bytes(), rows);
  return Arrival::kComplete;
}

bool AttentionLink::PublishWork(const Head& head) {
  const AnswersHead answers = DecodeAnswers(head);
  owed_[static_cast<std::size_t>(answers.micro_batch)].is_owed = false;
  TakeStatus(DecodeStatus(head));
  std::int32_t* reply = own_->words() + pair_.replies + answers.micro_batch * kReplyWords;
  StoreRelease(reply + ReplyWord::kSequence, answers.sequence);
  RingOwnDoorbell();
  return true;
}

}  // namespace megascale::m2n
