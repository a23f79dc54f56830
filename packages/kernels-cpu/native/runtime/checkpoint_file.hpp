#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/failure.hpp"

namespace megascale {

// A file of the checkpoint, open for the life of the object.
class CheckpointFile {
 public:
  // Throws Failure ERR_CHECKPOINT_CORRUPT when the file cannot be opened.
  explicit CheckpointFile(const std::string& path);
  ~CheckpointFile();
  CheckpointFile(const CheckpointFile&) = delete;
  CheckpointFile& operator=(const CheckpointFile&) = delete;

  // Throws Failure ERR_CHECKPOINT_CORRUPT when the file is shorter than offset + bytes.
  void Require(std::uint64_t offset, std::size_t bytes) const;
  // Copies a range to `to`; false when the system cannot. From any thread.
  bool Read(std::uint64_t offset, std::size_t bytes, std::uint8_t* to) const;
  // For the range that `Read` could not copy, or that cannot be mapped.
  Failure Unreadable(const std::string& why) const;

  int descriptor() const { return descriptor_; }
  std::uint64_t size() const { return size_; }

 private:
  std::string path_;
  int descriptor_;
  std::uint64_t size_ = 0;
};

}  // namespace megascale
