#pragma once

#include <string>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"

namespace megascale::testing {

// Every variant that this machine can run, the emulated tiles and AVX-512 without
// VNNI included.
const std::vector<KernelTable>& Variants();

// One of them. Throws where this machine has it not.
const KernelTable& Variant(const std::string& isa);

// The kernels in plain C++ with std::fma: what each variant whose vectors multiply and add with one
// rounding has to give, bit by bit. Slow.
const KernelTable& FusedReference();

// Whether all of the table's kernels, or those around the multiply, round as FusedReference does.
bool IsFused(const KernelTable& table);
bool HasFusedVectors(const KernelTable& table);

}  // namespace megascale::testing
