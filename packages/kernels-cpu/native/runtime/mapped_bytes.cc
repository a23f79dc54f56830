#include "runtime/mapped_bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/failure.hpp"

namespace megascale {
namespace {

Failure Unreadable(const std::string& path, const std::string& why) {
  return Failure("ERR_CHECKPOINT_CORRUPT", "Cannot map the checkpoint file " + path + ": " + why +
                                               ". Check the file, or download it again.");
}

}  // namespace

MappedBytes::MappedBytes(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  if (bytes == 0) return;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Unreadable(path, std::strerror(errno));
  struct stat status = {};
  const bool known = fstat(file, &status) == 0;
  const auto size = static_cast<std::uint64_t>(known ? status.st_size : 0);
  if (offset > size || bytes > size - offset) {
    close(file);
    throw Unreadable(path, "it ends at byte " + std::to_string(size) +
                               ", a tensor needs bytes up to " + std::to_string(offset + bytes));
  }
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t start = offset / page * page;
  mapping_bytes_ = bytes + static_cast<std::size_t>(offset - start);
  void* mapping =
      mmap(nullptr, mapping_bytes_, PROT_READ, MAP_PRIVATE, file, static_cast<off_t>(start));
  const int error = errno;
  close(file);
  if (mapping == MAP_FAILED) throw Unreadable(path, std::strerror(error));
  mapping_ = mapping;
  madvise(mapping_, mapping_bytes_, MADV_WILLNEED);
  data_ = static_cast<const std::uint8_t*>(mapping) + (offset - start);
}

MappedBytes::~MappedBytes() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

}  // namespace megascale
