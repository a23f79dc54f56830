#include "kernels/dispatch/table.hpp"
#include "kernels/vector/vector_scalar.hpp"

namespace megascale {

extern const KernelTable kScalarKernels = MakeKernelTable<ScalarVector>();

}  // namespace megascale
