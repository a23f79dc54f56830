#include "kernels/dispatch/table.hpp"
#include "kernels/vector/vector_avx512.hpp"

namespace megascale {

extern const KernelTable kAvx512Kernels = MakeKernelTable<Avx512Vector>();

}  // namespace megascale
