#include "fabric/message.hpp"

#include <algorithm>
#include <atomic>

namespace megascale::m2n::fabric {
namespace {

// A peer may write these words at any time; each look is one load.
std::int32_t Load(const std::int32_t* word) {
  return std::atomic_ref(*const_cast<std::int32_t*>(word)).load(std::memory_order_relaxed);
}

}  // namespace

Message Message::OfFrame(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool brings_weights) {
  Message message;
  message.slot_ = &slot;
  message.row_span_ = &slot.hidden;
  message.expert_ranks_ = expert_ranks;
  message.rank_ = rank;
  message.row_bytes_ = shape.RowBytes();
  message.routes_per_row_ = shape.top_k;
  message.rows_ = tokens;
  message.route_bytes_ = tokens * shape.top_k * static_cast<std::int64_t>(sizeof(std::int32_t));
  message.routes_left_ = brings_weights ? 3 : 2;
  return message;
}

Message Message::OfReply(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool sums_answers) {
  Message message;
  message.slot_ = &slot;
  message.row_span_ = &slot.answers;
  message.expert_ranks_ = expert_ranks;
  message.rank_ = rank;
  message.row_bytes_ = shape.RowBytes();
  message.routes_per_row_ = 1;
  message.rows_ = tokens * shape.top_k;
  message.rows_per_sum_ = sums_answers ? shape.top_k : 1;
  return message;
}

bool Message::Next(Span* part) {
  if (NextRows(part)) return true;
  if (routes_left_ == 0) return false;
  const Span* const routes[] = {&slot_->expert_ids, &slot_->expert_ranks, &slot_->weights};
  *part = {.byte_offset = routes[--routes_left_]->byte_offset, .byte_length = route_bytes_};
  return true;
}

bool Message::NextRows(Span* part) {
  while (row_ < rows_ && !Takes(row_)) ++row_;
  if (row_ >= rows_) return false;
  const std::int64_t first = row_;
  while (row_ < rows_ && Takes(row_)) ++row_;
  *part = {.byte_offset = row_span_->byte_offset + first * row_bytes_,
           .byte_length = (row_ - first) * row_bytes_};
  return true;
}

bool Message::Takes(std::int64_t row) const {
  for (std::int64_t other = row - row % rows_per_sum_; other < row; ++other) {
    if (Load(expert_ranks_ + other) == rank_) return false;
  }
  const std::int32_t* routes = expert_ranks_ + row * routes_per_row_;
  for (std::int64_t route = 0; route < routes_per_row_; ++route) {
    if (Load(routes + route) == rank_) return true;
  }
  return false;
}

}  // namespace megascale::m2n::fabric
