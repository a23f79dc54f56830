#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace megascale::m2n {

// Zeroed memory of this process, in whole pages, huge ones where the kernel grants them.
class AnonymousMemory {
 public:
  // Throws std::system_error.
  explicit AnonymousMemory(std::size_t byte_length);
  ~AnonymousMemory();
  AnonymousMemory(const AnonymousMemory&) = delete;
  AnonymousMemory& operator=(const AnonymousMemory&) = delete;

  char* bytes() const { return static_cast<char*>(data_); }
  std::int32_t* words() const { return static_cast<std::int32_t*>(data_); }
  std::size_t byte_length() const { return byte_length_; }

 private:
  void* data_;
  std::size_t byte_length_;
};

}  // namespace megascale::m2n
