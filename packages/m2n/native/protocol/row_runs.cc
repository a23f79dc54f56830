#include "protocol/row_runs.hpp"

#include <atomic>

namespace megascale::m2n {

// A peer with access to this memory may write the words at any time; each look is one load.
bool RowRuns::IsOfRank(std::int64_t route) const {
  auto* word = const_cast<std::int32_t*>(part_.ranks + route);
  return std::atomic_ref(*word).load(std::memory_order_relaxed) == part_.rank;
}

std::int64_t RowRuns::UnitCount() const {
  return part_.kind == Kind::kRows ? part_.tokens : part_.tokens * part_.top_k;
}

bool RowRuns::Travels(std::int64_t unit) const {
  switch (part_.kind) {
    case Kind::kRows:
      for (std::int64_t k = 0; k < part_.top_k; ++k) {
        if (IsOfRank(unit * part_.top_k + k)) return true;
      }
      return false;
    case Kind::kAnswers:
      return IsOfRank(unit);
    case Kind::kFirstAnswers:
      if (!IsOfRank(unit)) return false;
      for (std::int64_t route = unit - unit % part_.top_k; route < unit; ++route) {
        if (IsOfRank(route)) return false;
      }
      return true;
  }
  return false;
}

bool RowRuns::Next(Span* run) {
  const std::int64_t count = UnitCount();
  while (unit_ < count && !Travels(unit_)) ++unit_;
  if (unit_ == count) return false;
  const std::int64_t first = unit_++;
  while (unit_ < count && Travels(unit_)) ++unit_;
  *run = {.byte_offset = part_.byte_offset + first * part_.row_bytes,
          .byte_length = (unit_ - first) * part_.row_bytes};
  return true;
}

std::int64_t RowRuns::TotalBytes() const {
  RowRuns all(part_);
  std::int64_t bytes = 0;
  for (Span run; all.Next(&run);) bytes += run.byte_length;
  return bytes;
}

}  // namespace megascale::m2n
