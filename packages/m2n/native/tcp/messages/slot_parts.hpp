#pragma once

#include <cstdint>

#include "protocol/row_runs.hpp"
#include "protocol/segment_layout.hpp"
#include "tcp/messages/message_parts.hpp"
#include "tcp/port_setup.hpp"

namespace megascale::m2n {

// The memory of one micro-batch in an attention rank's segment or its mirror, as far as it travels
// between that rank and one expert rank.
struct SlotParts {
  char* segment;
  const SlotSpans& spans;
  const PortSetup& port;
  std::int32_t expert_rank;
  std::int64_t tokens;

  std::int64_t RouteCount() const { return tokens * port.shape.top_k; }
  std::int32_t* ExpertIds() const { return Words(spans.expert_ids); }
  std::int32_t* ExpertRanks() const { return Words(spans.expert_ranks); }
  std::int32_t* Weights() const { return Words(spans.weights); }
  // Of ids, ranks, or weights: all are of 4 bytes.
  std::size_t RouteBytes() const { return static_cast<std::size_t>(RouteCount()) * 4; }
  // Everything in front of the rows.
  std::int64_t AllRoutesBytes() const {
    return RouteCount() * 4 * (port.combines_at_experts ? 3 : 2);
  }
  RowRuns Rows() const { return Runs(RowRuns::Kind::kRows, spans.hidden); }
  RowRuns Answers() const {
    const auto kind =
        port.combines_at_experts ? RowRuns::Kind::kFirstAnswers : RowRuns::Kind::kAnswers;
    return Runs(kind, spans.answers);
  }
  void AddRoutes(MessageParts* message) const {
    message->Add(ExpertIds(), RouteBytes());
    message->Add(ExpertRanks(), RouteBytes());
    if (port.combines_at_experts) message->Add(Weights(), RouteBytes());
  }

 private:
  std::int32_t* Words(const Span& span) const {
    return reinterpret_cast<std::int32_t*>(segment + span.byte_offset);
  }
  RowRuns Runs(RowRuns::Kind kind, const Span& span) const {
    return RowRuns({.kind = kind,
                    .ranks = ExpertRanks(),
                    .tokens = tokens,
                    .top_k = port.shape.top_k,
                    .rank = expert_rank,
                    .byte_offset = span.byte_offset,
                    .row_bytes = port.shape.RowBytes()});
  }
};

}  // namespace megascale::m2n
