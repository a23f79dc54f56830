#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace megascale {

// A byte range of a file, mapped read-only for the life of the object.
class MappedBytes {
 public:
  // Throws Failure ERR_CHECKPOINT_CORRUPT when the file cannot be opened or is shorter than offset
  // + bytes.
  MappedBytes(const std::string& path, std::uint64_t offset, std::size_t bytes);
  ~MappedBytes();
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;

  const std::uint8_t* data() const { return data_; }

 private:
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  const std::uint8_t* data_ = nullptr;
};

}  // namespace megascale
