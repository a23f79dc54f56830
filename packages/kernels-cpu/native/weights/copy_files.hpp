#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/thread_pool.hpp"

namespace megascale {

// Copies whole files, mapped, into fresh memory of huge pages, and forgets the copy: the bound of
// loading weights, for the benchmark that compares with it. Returns the bytes.
std::size_t CopyFiles(const std::vector<std::string>& paths, ThreadPool& pool);

}  // namespace megascale
