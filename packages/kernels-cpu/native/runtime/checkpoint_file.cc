#include "runtime/checkpoint_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace megascale {

CheckpointFile::CheckpointFile(const std::string& path)
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw Unreadable(std::strerror(errno));
  struct stat status = {};
  if (fstat(descriptor_, &status) == 0) size_ = static_cast<std::uint64_t>(status.st_size);
}

CheckpointFile::~CheckpointFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void CheckpointFile::Require(std::uint64_t offset, std::size_t bytes) const {
  if (offset <= size_ && bytes <= size_ - offset) return;
  throw Unreadable("it ends at byte " + std::to_string(size_) + ", a tensor needs bytes up to " +
                   std::to_string(offset + bytes));
}

bool CheckpointFile::Read(std::uint64_t offset, std::size_t bytes, std::uint8_t* to) const {
  while (bytes > 0) {
    const ssize_t count = pread(descriptor_, to, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    to += count;
    offset += static_cast<std::uint64_t>(count);
    bytes -= static_cast<std::size_t>(count);
  }
  return true;
}

Failure CheckpointFile::Unreadable(const std::string& why) const {
  return Failure("ERR_CHECKPOINT_CORRUPT", "Cannot read the checkpoint file " + path_ + ": " + why +
                                               ". Check the file, or download it again.");
}

}  // namespace megascale
