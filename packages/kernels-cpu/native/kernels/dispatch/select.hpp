#pragma once

#include <string>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"

namespace megascale {

// What this machine can run, best first. 'scalar' is always the last.
std::vector<std::string> AvailableIsas();

// The kernels of `isa`, or of the best one where `isa` is empty. 'amx-emulated' is accepted though
// never listed: it runs the tile code everywhere, for tests. Throws Failure ERR_BACKEND_UNAVAILABLE
// naming the available ones.
KernelTable SelectKernels(const std::string& isa);

}  // namespace megascale
