#pragma once

#include <array>
#include <cstdint>

#include "fabric/notice.hpp"

namespace megascale::m2n::fabric {

// Which messages of one peer are whole. Completions may come in any order; messages are handed on
// in theirs.
class Arrivals {
 public:
  // False when it cannot be true: the entry's notice has come already.
  bool Note(const Immediate& immediate) {
    Entry& entry = entries_[immediate.entry];
    if (!immediate.is_notice) {
      ++entry.parts;
      return true;
    }
    if (entry.has_notice) return false;
    entry.has_notice = true;
    return true;
  }

  // The entry of the next message, whose notice has come.
  std::uint32_t next() const { return read_ & (kNotices - 1); }
  bool HasNotice() const { return entries_[next()].has_notice; }
  // Once the notice has been read: all parts that it names have come, too.
  bool IsWhole(std::uint32_t parts) const { return entries_[next()].parts == parts; }
  void Pass() { entries_[read_++ & (kNotices - 1)] = {}; }
  // Messages passed.
  std::uint32_t read() const { return read_; }

 private:
  struct Entry {
    std::uint32_t parts = 0;
    bool has_notice = false;
  };
  std::array<Entry, kNotices> entries_{};
  std::uint32_t read_ = 0;
};

}  // namespace megascale::m2n::fabric
