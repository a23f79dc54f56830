#if defined(__linux__)

#include "shm/page_wishes.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

namespace megascale::m2n {
namespace {

constexpr std::int32_t kNodesMax = 1024;
constexpr int kBitsPerLong = 8 * sizeof(unsigned long);
constexpr int kPreferred = 1;  // MPOL_PREFERRED of linux/mempolicy.h.
// MADV_POPULATE_WRITE, newer than some systems' headers.
constexpr int kPopulateWrite = 23;

}  // namespace

void PreferNode(void* data, std::size_t byte_length, std::int32_t numa_node) noexcept {
#if defined(SYS_mbind)
  if (numa_node < 0 || numa_node >= kNodesMax) return;
  std::array<unsigned long, kNodesMax / kBitsPerLong> nodes{};
  nodes[static_cast<std::size_t>(numa_node / kBitsPerLong)] = 1UL << (numa_node % kBitsPerLong);
  // The kernel counts one bit less than it is told.
  syscall(SYS_mbind, data, byte_length, kPreferred, nodes.data(), kNodesMax + 1, 0);
#endif
}

void MakePresent(void* data, std::size_t byte_length) {
  while (madvise(data, byte_length, kPopulateWrite) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL) break;  // Before Linux 5.14.
    throw std::system_error(errno, std::generic_category(),
                            std::to_string(byte_length) + " bytes of shared memory");
  }
}

}  // namespace megascale::m2n

#endif  // __linux__
