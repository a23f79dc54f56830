#include "kernels/dispatch/table.hpp"
#include "kernels/vector/vector_avx2.hpp"

namespace megascale {

extern const KernelTable kAvx2Kernels = MakeKernelTable<Avx2Vector>();

}  // namespace megascale
