#pragma once

#include <cstdint>

#include "protocol/segment_layout.hpp"

namespace megascale::m2n {

// The rows of one slot that travel between an attention rank and one expert rank, as runs of
// neighbours: a value that yields them in order, so nothing is listed. `ranks` says who takes each
// route (`expertRanks`); it is read as the runs are.
class RowRuns {
 public:
  enum class Kind {
    kRows,          // [tokens, hidden]: those with a route to the rank.
    kAnswers,       // [tokens, top_k, hidden]: the rank's routes.
    kFirstAnswers,  // The first of the rank's routes of each token.
  };
  struct Part {
    Kind kind = Kind::kRows;
    const std::int32_t* ranks = nullptr;  // [tokens, top_k]
    std::int64_t tokens = 0;
    std::int64_t top_k = 0;
    std::int32_t rank = 0;
    std::int64_t byte_offset = 0;  // Of the first row, in the segment.
    std::int64_t row_bytes = 0;
  };

  RowRuns() = default;
  explicit RowRuns(const Part& part) : part_(part) {}

  // Where the next run lies in the segment; false at the end.
  bool Next(Span* run);
  // Bytes of all runs, whatever was taken.
  std::int64_t TotalBytes() const;

 private:
  std::int64_t UnitCount() const;
  bool Travels(std::int64_t unit) const;
  bool IsOfRank(std::int64_t route) const;

  Part part_;
  std::int64_t unit_ = 0;  // A token, or a route.
};

}  // namespace megascale::m2n
