#pragma once

#include <cstdint>

namespace megascale::m2n {

// Whatever makes, maps or registers memory for a transport says so here: after open, a test holds
// the count still. Of the whole process; thread-safe.
void CountAllocation() noexcept;
std::int64_t AllocationCount() noexcept;

}  // namespace megascale::m2n
