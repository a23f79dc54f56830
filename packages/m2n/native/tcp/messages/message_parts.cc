#include "tcp/messages/message_parts.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace megascale::m2n {
namespace {

void Shorten(iovec* piece, std::size_t bytes) {
  piece->iov_base = static_cast<char*>(piece->iov_base) + bytes;
  piece->iov_len -= bytes;
}

}  // namespace

void MessageParts::Clear() {
  part_count_ = 0;
  rows_ = later_rows_ = {};
  tag_ = {};
  left_ = 0;
  part_ = 0;
  rest_ = {};
}

void MessageParts::Add(void* data, std::size_t bytes) {
  if (part_count_ == static_cast<int>(parts_.size())) throw std::logic_error("too many parts");
  parts_[static_cast<std::size_t>(part_count_++)] = {.iov_base = data, .iov_len = bytes};
  left_ += bytes;
}

void MessageParts::AddRows(char* segment, const RowRuns& rows) {
  segment_ = segment;
  rows_ = rows;
  later_rows_ = rows;
  left_ += static_cast<std::size_t>(rows.TotalBytes());
}

void MessageParts::AddTag(void* data, std::size_t bytes) {
  tag_ = {.iov_base = data, .iov_len = bytes};
  left_ += bytes;
}

bool MessageParts::NextRun(RowRuns* rows, iovec* run) const {
  Span span;
  if (!rows->Next(&span)) return false;
  *run = {.iov_base = segment_ + span.byte_offset,
          .iov_len = static_cast<std::size_t>(span.byte_length)};
  return true;
}

int MessageParts::Next(iovec* pieces, int max, std::size_t* bytes) const {
  int count = 0;
  *bytes = 0;
  const auto take = [&](const iovec& piece) {
    if (piece.iov_len == 0) return true;
    if (count == max) return false;
    pieces[count++] = piece;
    *bytes += piece.iov_len;
    return true;
  };
  if (!take(rest_)) return count;
  for (int part = part_; part < part_count_; ++part) {
    if (!take(parts_[static_cast<std::size_t>(part)])) return count;
  }
  RowRuns rows = later_rows_;
  iovec run;
  while (NextRun(&rows, &run)) {
    if (!take(run)) return count;
  }
  if (*bytes < left_) {
    // Of the tag, the end is left.
    iovec tag = tag_;
    Shorten(&tag, tag_.iov_len - std::min(left_ - *bytes, tag_.iov_len));
    take(tag);
  }
  return count;
}

void MessageParts::Advance(std::size_t bytes) {
  if (bytes > left_) throw std::logic_error("more bytes than the message has");
  left_ -= bytes;
  while (bytes > 0) {
    if (rest_.iov_len == 0) {
      if (part_ < part_count_) {
        rest_ = parts_[static_cast<std::size_t>(part_++)];
      } else if (!NextRun(&later_rows_, &rest_)) {
        return;  // The tag.
      }
    }
    const std::size_t step = std::min(bytes, rest_.iov_len);
    Shorten(&rest_, step);
    bytes -= step;
  }
}

std::size_t MessageParts::CopyIn(const char* from, std::size_t bytes) {
  std::size_t copied = 0;
  while (copied < bytes && left_ > 0) {
    iovec piece;
    std::size_t piece_bytes = 0;
    if (Next(&piece, 1, &piece_bytes) == 0) break;
    const std::size_t step = std::min(piece_bytes, bytes - copied);
    std::memcpy(piece.iov_base, from + copied, step);
    Advance(step);
    copied += step;
  }
  return copied;
}

}  // namespace megascale::m2n
