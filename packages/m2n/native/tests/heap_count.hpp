#pragma once

#include <cstdint>

namespace megascale::testing {

// How often `new` was called in this program.
std::int64_t HeapAllocations();

}  // namespace megascale::testing
