#pragma once

#include <cstddef>

namespace megascale {

// Zeroed pages from the system, at least 64-byte aligned, returned in the destructor. Pages cost
// nothing until they are touched.
class HostMemory {
 public:
  // kHuge: large pages where the system gives them, spread over its memory nodes.
  // kSparse: of a large range only a part will ever be touched, so the system need not promise all
  // of it.
  enum class Pages { kNormal, kHuge, kSparse };

  HostMemory() = default;
  // Throws Failure ERR_OUT_OF_MEMORY; `purpose` names what the bytes are for.
  HostMemory(std::size_t bytes, Pages pages, const char* purpose);
  ~HostMemory();
  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&& other) noexcept;
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  // Whole pages inside this range go back to the system; they read as zeros from then on.
  void Release(std::size_t offset, std::size_t bytes);

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

inline std::size_t RoundUp(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace megascale
