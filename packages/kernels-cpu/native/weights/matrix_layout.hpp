#pragma once

#include "weights/packed_matrix.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// Shape and layout of the matrix that `source` will be packed into; `panels` is left to the owner
// of the memory. Throws Failure ERR_SHAPE, naming the tensor, where it cannot be packed.
PackedMatrix LayOut(const MatrixSource& source);

}  // namespace megascale
