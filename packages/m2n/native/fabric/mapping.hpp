#pragma once

#include <cstddef>

namespace megascale::m2n::fabric {

// Zeroed memory of this process, page-aligned. Throws std::system_error.
class Mapping {
 public:
  explicit Mapping(std::size_t byte_length);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* data() const { return data_; }
  std::size_t byte_length() const { return byte_length_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t byte_length_ = 0;
};

}  // namespace megascale::m2n::fabric
