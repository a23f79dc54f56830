#pragma once

#include "kernels/dispatch/kernel_table.hpp"
#include "program/micro_batch.hpp"
#include "program/program.hpp"
#include "runtime/op_profile.hpp"
#include "weights/packed_matrix.hpp"

// What an op has to do, by the formulas of core's cost model (graph/cost.ts); a test compares the
// two. Bytes of weights are those of the packed matrix: as stored, scales and padding included.
namespace megascale {

// The sizes that an op's fields do not tell.
struct OpSizes {
  std::size_t in_width = 0, out_width = 0;
  const PackedMatrix* matrix = nullptr;
  const KvLayout* kv = nullptr;
  // Bytes of one row of an embedding table.
  std::size_t table_row_bytes = 0;
};

std::uint64_t StoredBytes(const PackedMatrix& matrix);

OpWork WorkOf(const Op& op, const MicroBatch& batch, const OpSizes& sizes);

// residual += Σₖ weights · answers.
OpWork CombineWork(std::size_t tokens, std::size_t top_k, std::size_t width);

// The experts with rows: gate, up and down of each, once.
OpWork ExpertWork(const PackedMatrix& gate_up, const PackedMatrix& down, std::size_t rows);

}  // namespace megascale
