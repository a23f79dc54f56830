#pragma once

#include <cstdint>
#include <limits>

namespace megascale {

constexpr std::uint64_t kMemoryUnknown = std::numeric_limits<std::uint64_t>::max();

// Bytes this process can still touch before the system must take them from someone: the least of
// what the machine and the process's memory cgroup have left, pages of cached files counted as
// free. kMemoryUnknown where the system does not say.
std::uint64_t AvailableMemory();

}  // namespace megascale
