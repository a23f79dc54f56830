#include "kernels/table.hpp"
#include "kernels/vector_avx512.hpp"

namespace megascale {

extern const KernelTable kAvx512Kernels = MakeKernelTable<Avx512Vector>();

}  // namespace megascale
