#include "protocol/allocation_count.hpp"

#include <atomic>

namespace megascale::m2n {
namespace {

std::atomic<std::int64_t> count{0};

}  // namespace

void CountAllocation() noexcept { count.fetch_add(1, std::memory_order_relaxed); }

std::int64_t AllocationCount() noexcept { return count.load(std::memory_order_relaxed); }

}  // namespace megascale::m2n
