#include "kernels/table.hpp"
#include "kernels/vector_neon.hpp"

namespace megascale {

extern const KernelTable kNeonKernels = MakeKernelTable<NeonVector>();

}  // namespace megascale
