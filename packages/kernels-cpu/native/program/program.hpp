#pragma once

#include <cstddef>
#include <vector>

#include "program/records.hpp"
#include "weights/tensor_source.hpp"

// The compiled attention program, as src/compile/compile.ts writes it. Values, weights and tables
// are numbers into the lists below.
namespace megascale {

struct AttentionProgram {
  std::vector<Value> values;
  std::vector<std::size_t> scratch_row_bytes, state_row_bytes;  // per token
  std::vector<MatrixSource> matrices;
  std::vector<TensorSource> vectors;
  std::vector<TensorSource> tables;  // embedding tables
  std::vector<RotaryTable> rotary_tables;
  std::vector<KvCacheSizes> kv_caches;
  // Prologue, one list per routed layer, epilogue.
  std::vector<std::vector<Op>> lists;
  // [layers] the value that combine adds to, and the router's top-k.
  std::vector<int> residuals;
  std::vector<std::size_t> top_ks;
  std::size_t hidden_size, vocab_size, top_k_max;
};

}  // namespace megascale
