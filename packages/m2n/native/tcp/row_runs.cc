#include "tcp/row_runs.hpp"

namespace megascale::m2n {

std::int64_t RowRuns::UnitCount() const {
  return part_.kind == Kind::kRows ? part_.tokens : part_.tokens * part_.top_k;
}

bool RowRuns::Travels(std::int64_t unit) const {
  const std::int32_t* ranks = part_.ranks;
  switch (part_.kind) {
    case Kind::kRows:
      for (std::int64_t k = 0; k < part_.top_k; ++k) {
        if (ranks[unit * part_.top_k + k] == part_.rank) return true;
      }
      return false;
    case Kind::kAnswers:
      return ranks[unit] == part_.rank;
    case Kind::kFirstAnswers:
      if (ranks[unit] != part_.rank) return false;
      for (std::int64_t k = unit - unit % part_.top_k; k < unit; ++k) {
        if (ranks[k] == part_.rank) return false;
      }
      return true;
  }
  return false;
}

bool RowRuns::Next(iovec* run) {
  const std::int64_t count = UnitCount();
  while (unit_ < count && !Travels(unit_)) ++unit_;
  if (unit_ == count) return false;
  const std::int64_t first = unit_++;
  while (unit_ < count && Travels(unit_)) ++unit_;
  run->iov_base = part_.base + first * part_.row_bytes;
  run->iov_len = static_cast<std::size_t>((unit_ - first) * part_.row_bytes);
  return true;
}

std::int64_t RowRuns::TotalBytes() const {
  RowRuns all(part_);
  std::int64_t bytes = 0;
  iovec run;
  while (all.Next(&run)) bytes += static_cast<std::int64_t>(run.iov_len);
  return bytes;
}

}  // namespace megascale::m2n
