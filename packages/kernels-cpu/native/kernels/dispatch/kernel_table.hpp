#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention/kv_layout.hpp"
#include "runtime/bfloat16.hpp"
#include "weights/packed_matrix.hpp"

// The contract of every kernel: what its arguments are and what it computes. Each instruction set
// fills one `KernelTable`; select.cc chooses the table. All kernels work on the rows they are
// given, on the calling thread, and a row's result depends on that row alone.
namespace megascale {

// Columns of one packed panel, positions of one KV block, lanes of one vector.
constexpr std::size_t kPanelColumns = 16;
// Panels that one multiply may take together: four far apart streams of weights per thread.
constexpr std::size_t kPanelsMax = 4;
// Floats in one row of a multiply's result.
constexpr std::size_t kTileStride = kPanelsMax * kPanelColumns;

// c[r, p·16 + j] = Σₖ a[r, k] · panel p[k, j] in f32, in one fixed order over k for every row
// count.
struct MultiplyParams {
  const void* a;               // packed by `GemmKernels::pack_rows`
  const std::uint8_t* panels;  // [panel_count] panels, as PackedMatrix says for the format
  std::size_t panel_bytes;     // from one panel to the next
  std::size_t inner;           // of the matrix: a multiple of 32
  std::size_t group;           // k that share one scale; quantized formats only
  std::size_t rows;            // ≥ 1
  std::size_t panel_count;     // 1 … kPanelsMax
  float* c;                    // [rows rounded up to row_multiple, kTileStride]
  // What this thread multiplies next, to be fetched towards the end; null where that is not known.
  const std::uint8_t* next_panels = nullptr;
  std::size_t next_panel_bytes = 0;
};

// The rows of one packing, and what they are packed for.
struct PackParams {
  const bf16* const* rows;  // [count] rows of `width`
  std::size_t count, width;
  std::size_t inner;  // the matrix's, ≥ width: zero from width on
  std::size_t group;  // the matrix's
  void* dst;          // [count rounded up to row_multiple] packed rows
};

// The kernels of one weight format.
struct GemmKernels {
  // Bytes from one packed row to the next: f32, bf16 or 8-bit integers with their scales, as the
  // multiply wants.
  std::size_t (*packed_row_bytes)(std::size_t inner, std::size_t group);
  // The multiply computes rows in multiples of this; a and c have room for them.
  std::size_t row_multiple;
  // Copies rows from where they lie to the form that the multiply reads, one row alone at a time.
  void (*pack_rows)(const PackParams&);
  // Around a thread's multiplies; may be null.
  void (*begin)();
  void (*end)();
  void (*multiply)(const MultiplyParams&);
};

// What happens to a finished tile of a multiply.
enum class Epilogue : std::uint8_t {
  kActivation,  // + bias, rounded to bf16
  kFloat,       // as it is, f32
  kSwiglu,      // panels come in (gate, up) pairs: silu(gate) ⊙ up, rounded to bf16
};

struct StoreParams {
  const float* c;  // [rows, kTileStride]
  std::size_t rows;
  std::size_t panel_count;
  void* const* out_rows;  // [rows] bf16 or f32 rows
  std::size_t column;     // first output column
  std::size_t width;      // output columns in all; columns past it are padding and are not stored
  const float* bias;      // [width] or null
  Epilogue epilogue;
};

// out[r, g·width + i] = x[r, g·width + i] / sqrt(mean over i of x² + epsilon) · weight[i], for each
// of `groups` vectors of a row.
struct RmsNormParams {
  const void* x;  // [rows, groups · width] f32 or bf16
  bool x_is_float;
  const float* weight;  // [width]
  bf16* out;
  std::size_t rows, groups, width;
  float epsilon;
};

// Rotates the pairs (i, i + head_size / 2) of each head by the angle of its row's position.
struct RopeParams {
  const bf16* x;  // [rows, heads · head_size]
  bf16* out;
  const std::int32_t* positions;  // [rows]
  const float* cosines;           // [positions, head_size / 2]
  const float* sines;
  std::size_t rows, heads, head_size;
};

struct ElementwiseParams {
  std::size_t count;
  const bf16* x;  // silu_multiply: gate
  const bf16* y;  // silu_multiply: up
  float* into;    // add
  bf16* out;      // silu_multiply
};

enum class RouterScore : std::uint8_t { kSoftmax, kSigmoid };

// Scores experts from their logits and picks the best: ties go to the lower id, order is falling.
struct RouterParams {
  float* logits;  // [rows, stride]; overwritten with scores
  std::size_t rows, stride, experts, top_k;
  RouterScore score;
  bool renormalize;
  float scale;
  std::int32_t* expert_ids;  // [rows, top_k]
  float* weights;            // [rows, top_k]
};

// residual[r] += Σₖ weights[r, k] · answers[r, k] over k with expert_ids[r, k] ≥ 0, ascending, in
// f32.
struct CombineParams {
  float* residual;                 // [rows, width]
  const bf16* answers;             // [rows, top_k, width]
  const std::int32_t* expert_ids;  // [rows, top_k]
  const float* weights;            // [rows, top_k]
  std::size_t rows, top_k, width;
};

// Absolute positions whose softmax is taken in one go. Longer contexts are folded range by range,
// ascending, whichever threads computed the ranges.
constexpr std::size_t kAttentionRange = 256;

// Consecutive tokens of one sequence and one KV head over one range: the partial result of every
// row (token, head of the group). A token sees no position after its own, and `window` in all.
struct AttentionParams {
  const bf16* q;         // of the first token; [group, head_size]
  std::size_t q_stride;  // elements from one token's queries to the next one's
  std::size_t tokens, group;
  const std::uint8_t* cache;  // this layer's pages
  const std::int32_t* pages;  // the sequence's page table
  const KvLayout* layout;
  std::size_t kv_head;
  std::size_t position;  // of the first token
  std::size_t window;    // 0 = all positions
  std::size_t range;     // positions [range · kAttentionRange, + kAttentionRange)
  float scale;           // of the scores
  float* scratch;        // AttentionScratchFloats, 64-byte aligned
  float* partial;        // out: tokens · group · (head_size_padded + 2) floats
};

// Floats of scratch for `rows` rows.
inline constexpr std::size_t AttentionScratchFloats(std::size_t rows, const KvLayout& layout) {
  return rows * (kAttentionRange + layout.head_size) + 64 * layout.head_size_padded;
}

// Partial results of `rows` rows.
struct PartialParams {
  float* partial;
  float* next;               // fold: partial = partial and then next, the range after it
  std::size_t rows, stride;  // stride: head_size_padded
  bf16* out;                 // finish: [tokens] × out_stride, [group, head_size] each
  std::size_t out_stride, group, head_size;
};

// Keys and values of tokens with their positions, into the pages of their sequence.
struct KvAppendParams {
  const bf16* keys;  // [kv_heads, head_size] of one token
  const bf16* values;
  std::uint8_t* page;  // of this layer, where the position belongs
  std::size_t position;
  const KvLayout* layout;
};

struct AttentionKernels {
  // Once for all ranges of a task: queries into scratch.
  void (*pack_queries)(const AttentionParams&);
  void (*attend)(const AttentionParams&);
  void (*fold)(const PartialParams&);
  void (*finish)(const PartialParams&);
  void (*append)(const KvAppendParams&);
};

struct KernelTable {
  const char* isa;
  // By WeightFormat; `multiply` is null where a format is not there.
  GemmKernels gemm[kWeightFormats];
  void (*store)(const StoreParams&);
  void (*rms_norm)(const RmsNormParams&);
  void (*rope)(const RopeParams&);
  void (*add)(const ElementwiseParams&);
  void (*silu_multiply)(const ElementwiseParams&);
  void (*router)(const RouterParams&);
  void (*combine)(const CombineParams&);
  AttentionKernels attention;
};

// What there is, where it is compiled in.
extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kNeonKernels;
// Attention by products of bf16 pairs.
extern const AttentionKernels kBf16PairsAttention;
// The multiply by products of bf16 pairs (gemm_avx512bf16.cc).
extern const GemmKernels kBf16PairsGemm;
// The multiply on tiles, in hardware (gemm_amx.cc) and emulated (gemm_tiles_emulated.cc).
extern const GemmKernels kAmxGemm;
extern const GemmKernels kEmulatedTileGemm;

// The multiplies of the quantized formats.
struct QuantizedKernels {
  GemmKernels int8, int4;
};
extern const QuantizedKernels kScalarQuantized;
extern const QuantizedKernels kAvx2Quantized;
extern const QuantizedKernels kAvx512Quantized;
extern const QuantizedKernels kAvx512VnniQuantized;
extern const QuantizedKernels kAmxQuantized;
extern const QuantizedKernels kEmulatedTileQuantized;

}  // namespace megascale
