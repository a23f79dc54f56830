#if defined(__linux__)

#include "tcp/anonymous_memory.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "protocol/allocation_count.hpp"

namespace megascale::m2n {

AnonymousMemory::AnonymousMemory(std::size_t byte_length)
    : data_(mmap(nullptr, byte_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
      byte_length_(byte_length) {
  if (data_ == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(),
                            "mmap of " + std::to_string(byte_length) + " bytes");
  }
  CountAllocation();
  madvise(data_, byte_length, MADV_HUGEPAGE);
}

AnonymousMemory::~AnonymousMemory() { munmap(data_, byte_length_); }

}  // namespace megascale::m2n

#endif  // __linux__
