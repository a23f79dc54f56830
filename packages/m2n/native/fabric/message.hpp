#pragma once

#include <cstdint>

#include "protocol/row_runs.hpp"
#include "protocol/segment_layout.hpp"

namespace megascale::m2n::fabric {

// The parts of an attention segment that one message brings, one span after the other, found while
// they are sent: nothing is listed, so nothing is allocated. A frame brings the tokens' rows that
// the expert rank takes and all routes; a reply the answers of that rank, or of each token the
// first of them, which holds their sum where the expert rank `sums_answers`. Routes come before
// rows: who has taken them over can find the rows as the sender did.
class Message {
 public:
  Message() = default;
  // `expert_ranks` [tokens, top_k] says who takes which row. It is read as the message advances.
  static Message OfFrame(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool brings_weights);
  static Message OfReply(const PortShape& shape, const SlotSpans& slot, std::int64_t tokens,
                         const std::int32_t* expert_ranks, std::int32_t rank, bool sums_answers);

  // The next part, which ends before the slot's; false after the last.
  bool Next(Span* part);

 private:
  const SlotSpans* slot_ = nullptr;
  RowRuns rows_;
  std::int64_t route_bytes_ = 0;  // Of all routes of the slot's tokens.
  int routes_left_ = 0;           // Of weights, expert ranks and expert ids.
};

}  // namespace megascale::m2n::fabric
