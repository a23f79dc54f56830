#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weights/tensor_source.hpp"

// The compiled attention program, as src/compile.ts writes it. Values, weights and tables are
// numbers into the lists below.
namespace megascale {

enum class OpCode : std::uint8_t {
  kEmbed = 1,
  kRmsNorm = 2,
  kLinear = 3,
  kRope = 4,
  kKvAppend = 5,
  kPagedAttention = 6,
  kAddTo = 7,
  kSiluMultiply = 8,
  kRouter = 9,
  kLmHead = 10,
};

// One op. Which fields count depends on the code; `none` is −1.
struct Op {
  OpCode code;
  int x, y, out;      // values; addTo writes y, kvAppend reads x (keys) and y (values)
  int weight, bias;   // matrix or vector or table; vector
  int table;          // rotary table or KV cache
  std::size_t heads;  // heads, or vectors per row of a norm
  std::size_t experts, top_k;
  std::size_t window;  // positions a token sees; 0 = all
  float epsilon;
  float scale;
  bool sigmoid, renormalize;
};

// Fields of an op on the wire: doubles in the order above.
constexpr std::size_t kOpFields = 14;

enum class ValueKind : std::uint8_t {
  kScratch = 0,  // read only by the op list that writes it: memory is shared
  kState = 1,    // lives from one op list to another: one per micro-batch
  kMessage = 2,  // the slot's `hidden`
};

struct Value {
  ValueKind kind;
  bool is_float;       // f32, else bf16
  std::size_t width;   // elements per token
  std::size_t buffer;  // which scratch or state buffer
};

struct RotaryTable {
  std::size_t head_size;
  double theta;
};

struct KvCacheSizes {
  std::size_t kv_heads, head_size;
};

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
