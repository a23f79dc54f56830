#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/mapping.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

#include "protocol/allocation_count.hpp"

namespace megascale::m2n::fabric {

Mapping::Mapping(std::size_t byte_length) : byte_length_(byte_length) {
  void* data = mmap(nullptr, byte_length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(),
                            std::to_string(byte_length) + " bytes of memory");
  }
  CountAllocation();
  data_ = static_cast<std::byte*>(data);
}

Mapping::~Mapping() { munmap(data_, byte_length_); }

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
