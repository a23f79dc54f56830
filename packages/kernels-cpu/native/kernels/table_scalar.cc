#include "kernels/table.hpp"
#include "kernels/vector_scalar.hpp"

namespace megascale {

extern const KernelTable kScalarKernels = MakeKernelTable<ScalarVector>();

}  // namespace megascale
