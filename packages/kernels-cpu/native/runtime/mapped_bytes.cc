#include "runtime/mapped_bytes.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/checkpoint_file.hpp"

namespace megascale {

MappedBytes::MappedBytes(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  if (bytes == 0) return;
  const CheckpointFile file(path);
  file.Require(offset, bytes);
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t start = offset / page * page;
  mapping_bytes_ = bytes + static_cast<std::size_t>(offset - start);
  void* mapping = mmap(nullptr, mapping_bytes_, PROT_READ, MAP_PRIVATE, file.descriptor(),
                       static_cast<off_t>(start));
  if (mapping == MAP_FAILED) throw file.Unreadable(std::strerror(errno));
  mapping_ = mapping;
  madvise(mapping_, mapping_bytes_, MADV_WILLNEED);
  data_ = static_cast<const std::uint8_t*>(mapping) + (offset - start);
}

MappedBytes::~MappedBytes() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

}  // namespace megascale
