#include "kernels/dispatch/table.hpp"
#include "kernels/vector/vector_neon.hpp"

namespace megascale {

extern const KernelTable kNeonKernels = MakeKernelTable<NeonVector>();

}  // namespace megascale
