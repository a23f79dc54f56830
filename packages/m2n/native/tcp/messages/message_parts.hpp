#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>

#include "protocol/row_runs.hpp"

namespace megascale::m2n {

// Where the bytes of one message lie in memory, in the order they travel: a few fixed parts, then
// runs of rows, then the tag. Holds a position, so that a message may be sent or received in
// pieces of any length. Nothing is copied or allocated.
class MessageParts {
 public:
  void Clear();
  void Add(void* data, std::size_t bytes);
  // After the last Add. The runs lie in the segment.
  void AddRows(char* segment, const RowRuns& rows);
  void AddTag(void* data, std::size_t bytes);

  // All bytes of what was added so far have been handled.
  bool Done() const { return left_ == 0; }
  std::size_t left() const { return left_; }

  // The bytes that come next, at most `max` pieces: how many pieces, and how many bytes they hold.
  int Next(iovec* pieces, int max, std::size_t* bytes) const;
  void Advance(std::size_t bytes);
  // Puts bytes that were received elsewhere where they belong: how many were taken.
  std::size_t CopyIn(const char* from, std::size_t bytes);

  // Calls visit(data, bytes) for everything before the tag.
  template <class Visit>
  void ForEachBeforeTag(const Visit& visit) const {
    for (int part = 0; part < part_count_; ++part) {
      visit(parts_[static_cast<std::size_t>(part)].iov_base,
            parts_[static_cast<std::size_t>(part)].iov_len);
    }
    RowRuns rows = rows_;
    iovec run;
    while (NextRun(&rows, &run)) visit(run.iov_base, run.iov_len);
  }

 private:
  // Nothing where there are no rows.
  bool NextRun(RowRuns* rows, iovec* run) const;

  std::array<iovec, 5> parts_{};
  int part_count_ = 0;
  char* segment_ = nullptr;
  RowRuns rows_;
  iovec tag_{};

  std::size_t left_ = 0;
  int part_ = 0;          // The first part that is not done,
  iovec rest_{};          // what is left of it or of the run under way,
  RowRuns later_rows_{};  // and the runs after that.
};

}  // namespace megascale::m2n
