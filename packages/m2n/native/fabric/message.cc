#include "fabric/message.hpp"

namespace megascale::m2n::fabric {

Message Message::OfFrame(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool brings_weights) {
  Message message;
  message.slot_ = &slot;
  message.rows_ = RowRuns({.kind = RowRuns::Kind::kRows,
                           .ranks = expert_ranks,
                           .tokens = tokens,
                           .top_k = shape.top_k,
                           .rank = rank,
                           .byte_offset = slot.hidden.byte_offset,
                           .row_bytes = shape.RowBytes()});
  message.route_bytes_ = tokens * shape.top_k * static_cast<std::int64_t>(sizeof(std::int32_t));
  message.routes_left_ = brings_weights ? 3 : 2;
  return message;
}

Message Message::OfReply(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool sums_answers) {
  Message message;
  message.slot_ = &slot;
  message.rows_ =
      RowRuns({.kind = sums_answers ? RowRuns::Kind::kFirstAnswers : RowRuns::Kind::kAnswers,
               .ranks = expert_ranks,
               .tokens = tokens,
               .top_k = shape.top_k,
               .rank = rank,
               .byte_offset = slot.answers.byte_offset,
               .row_bytes = shape.RowBytes()});
  return message;
}

bool Message::Next(Span* part) {
  if (routes_left_ == 0) return rows_.Next(part);
  const Span* const routes[] = {&slot_->expert_ids, &slot_->expert_ranks, &slot_->weights};
  *part = {.byte_offset = routes[--routes_left_]->byte_offset, .byte_length = route_bytes_};
  return true;
}

}  // namespace megascale::m2n::fabric
