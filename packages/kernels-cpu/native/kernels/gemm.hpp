#pragma once

#include "kernels/kernel_table.hpp"

// multiply: c[r, j] = Σₖ a[r, k] · w[k, j]
//   a  [rows, inner] f32 (activations, exact from bf16)
//   w  panels of [inner / 2][16 columns][2 k] bf16, widened by a shift or a mask
//   c  [rows, kTileStride] f32
// Each c element is one chain acc = a[k] · w[k] + acc over ascending k from 0, whatever rows and
// panels stand beside it in registers. Few rows: bound by reading w, so up to four panels are
// walked at once, each prefetched 1 KiB ahead. Many rows: bound by multiply-adds.
namespace megascale {

template <class V, int Rows, int Panels>
inline void MultiplyBlock(const MultiplyParams& m, const float* a, const bf16* w, float* c) {
  constexpr std::size_t kAhead = 512;  // elements: 1 KiB
  using F = typename V::F;
  F sums[Rows][Panels];
  for (int r = 0; r < Rows; ++r) {
    for (int p = 0; p < Panels; ++p) sums[r][p] = V::Zero();
  }
  const std::size_t pairs = m.inner / 2, panel_stride = m.panel_bytes / sizeof(bf16);
  for (std::size_t pair = 0; pair < pairs; ++pair, w += 2 * kPanelColumns, a += 2) {
    F weights[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      V::Prefetch(w + p * panel_stride + kAhead);
      weights[p] = V::LoadPairFirst(w + p * panel_stride);
    }
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const F x = V::Broadcast(a[r * m.inner]);
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = V::MultiplyAdd(x, weights[p], sums[r][p]);
    }
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) weights[p] = V::LoadPairSecond(w + p * panel_stride);
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const F x = V::Broadcast(a[r * m.inner + 1]);
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = V::MultiplyAdd(x, weights[p], sums[r][p]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      V::Store(c + r * kTileStride + p * kPanelColumns, sums[r][p]);
    }
  }
}

// The last `left` ≤ Panels panels.
template <class V, int Rows, int Panels>
void MultiplyPanelsLeft(const MultiplyParams& m, const float* a, const bf16* w, float* c,
                        std::size_t left) {
  if (left == Panels) return MultiplyBlock<V, Rows, Panels>(m, a, w, c);
  if constexpr (Panels > 1) MultiplyPanelsLeft<V, Rows, Panels - 1>(m, a, w, c, left);
}

// The last `left` ≤ Rows rows, all panels.
template <class V, int Rows>
void MultiplyRowsLeft(const MultiplyParams& m, const float* a, float* c, std::size_t left) {
  if constexpr (Rows > 1) {
    if (left < Rows) return MultiplyRowsLeft<V, Rows - 1>(m, a, c, left);
  }
  constexpr int kPanels = V::PanelsFor(Rows);
  for (std::size_t p = 0; p < m.panel_count; p += kPanels) {
    const std::size_t panels = m.panel_count - p < kPanels ? m.panel_count - p : kPanels;
    const auto* w = reinterpret_cast<const bf16*>(m.panels + p * m.panel_bytes);
    MultiplyPanelsLeft<V, Rows, kPanels>(m, a, w, c + p * kPanelColumns, panels);
  }
}

template <class V>
void Multiply(const MultiplyParams& m) {
  const auto* a = static_cast<const float*>(m.a);
  for (std::size_t row = 0; row < m.rows; row += V::kRows) {
    const std::size_t rows = m.rows - row < V::kRows ? m.rows - row : V::kRows;
    MultiplyRowsLeft<V, V::kRows>(m, a + row * m.inner, m.c + row * kTileStride, rows);
  }
}

template <class V>
void PackRows(const PackParams& p) {
  for (std::size_t r = 0; r < p.count; ++r) {
    const bf16* from = p.rows[r];
    float* to = static_cast<float*>(p.dst) + r * p.inner;
    std::size_t k = 0;
    for (; k + 16 <= p.width; k += 16) V::Store(to + k, V::LoadBf16(from + k));
    for (; k < p.inner; k += 16) {
      const std::size_t left = k < p.width ? p.width - k : 0;
      V::Store(to + k, V::LoadBf16Partial(from + (left > 0 ? k : 0), left));
    }
  }
}

template <class V>
constexpr GemmKernels MakeGemm() {
  return {.packed_row_bytes = [](std::size_t inner, std::size_t) { return inner * sizeof(float); },
          .row_multiple = 1,
          .pack_rows = PackRows<V>,
          .begin = nullptr,
          .end = nullptr,
          .multiply = Multiply<V>};
}

}  // namespace megascale
