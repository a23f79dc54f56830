#pragma once

#include "kernels/quantised_rows.hpp"

// multiply, quantised: c[r, j] = Σ over blocks of k: ((Σₖ a[r, k] · w[k, j]) · a's scale) · w's
// scale
//   a  [rows] QuantisedRow
//   w  panels of kInt8 or kInt4
//   c  [rows, kTileStride] f32
// The inner sum is of integers and exact: at most 128 · 127 · 128, which f32 holds. The outer one
// takes the blocks in ascending k and rounds after each of its two products and its sum, in every
// instruction set and for every number of rows: results are equal to the bit everywhere.
// Few rows: bound by reading w, so up to four panels are walked at once, each fetched ahead, at its
// end into the panels that come next. Many rows: bound by the dot products.
//
// D is the instruction set's unit for one layout:
//   Layout, kRows, PanelsFor(rows)            register blocks
//   Line, LoadLine(at)                        64 bytes of a panel
//   Weights, Unpack<step>(line)               [16 columns][4 k], step < kLineInner / 4
//   Activations, Broadcast(four integers)
//   Sum, Start(correction), Dot(sum, weights, activations), Finish(sum, correction) → F
//   F, Zero(), LoadFloats(at), StoreFloats(at, f), LoadScales(at)
//   AddScaled(sums, products, row scale, scales)   sums + (products · row scale) · scales
//   Prefetch(at)
namespace megascale {

// From one block's integers to the f32 sums: in registers where few, else in c itself.
template <class D, int Rows, int Panels>
class QuantisedSums {
 public:
  explicit QuantisedSums(float* c) : c_(c) {
    for (int r = 0; r < Rows; ++r) {
      for (int p = 0; p < Panels; ++p) Put(r, p, D::Zero());
    }
  }
  void Add(int r, int p, typename D::F products, float row_scale, typename D::F scales) {
    const typename D::F sum = kHeld ? held_[r % kHeldRows][p % kHeldPanels]
                                    : D::LoadFloats(c_ + r * kTileStride + p * kPanelColumns);
    Put(r, p, D::AddScaled(sum, products, row_scale, scales));
  }
  void Store() {
    if constexpr (kHeld) {
      for (int r = 0; r < Rows; ++r) {
        for (int p = 0; p < Panels; ++p) {
          D::StoreFloats(c_ + r * kTileStride + p * kPanelColumns, held_[r][p]);
        }
      }
    }
  }

 private:
  static constexpr bool kHeld = Rows * Panels <= 4;
  static constexpr int kHeldRows = kHeld ? Rows : 1, kHeldPanels = kHeld ? Panels : 1;

  void Put(int r, int p, typename D::F value) {
    if constexpr (kHeld) {
      held_[r][p] = value;
    } else {
      D::StoreFloats(c_ + r * kTileStride + p * kPanelColumns, value);
    }
  }

  float* c_;
  typename D::F held_[kHeldRows][kHeldPanels];
};

// The integer sums of one block: `lines` of each panel from `w` on, integers of each row from `a`.
template <class D, int Rows, int Panels>
[[gnu::always_inline]] inline void DotBlock(const std::uint8_t* w, std::size_t panel_bytes,
                                            std::size_t lines, std::size_t ahead,
                                            const std::uint8_t* a, std::size_t row_bytes,
                                            typename D::Sum (&sums)[Rows][Panels]) {
  constexpr int kSteps = static_cast<int>(D::Layout::kLineInner / 4);
  for (std::size_t i = 0; i < lines; ++i, w += kLineBytes, a += 4 * kSteps) {
    typename D::Line line[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      D::Prefetch(w + p * panel_bytes + ahead);
      line[p] = D::LoadLine(w + p * panel_bytes);
    }
    const auto step = [&]<int Step>() __attribute__((always_inline)) {
      typename D::Weights weights[Panels];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) weights[p] = D::template Unpack<Step>(line[p]);
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
        const typename D::Activations x = D::Broadcast(a + r * row_bytes + 4 * Step);
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) D::Dot(sums[r][p], weights[p], x);
      }
    };
    step.template operator()<0>();
    if constexpr (kSteps == 2) step.template operator()<1>();
  }
}

template <class D, int Rows, int Panels>
void MultiplyQuantisedBlock(const MultiplyParams& m, const QuantisedRow& row, const std::uint8_t* a,
                            const std::uint8_t* w, float* c) {
  constexpr std::size_t kAheadBytes = 2048;
  using Layout = typename D::Layout;
  QuantisedSums<D, Rows, Panels> results(c);
  const std::size_t block_lines = row.block / Layout::kLineInner;
  const std::size_t blocks_per_group = m.group / row.block;
  for (std::size_t b = 0; b < row.blocks; ++b) {
    const std::size_t group = b / blocks_per_group, part = b % blocks_per_group;
    const std::size_t at = GroupOffset<Layout>(group, m.group) + part * block_lines * kLineBytes;
    const std::size_t scale_at = ScaleOffset<Layout>(group, m.group);
    // Past the end of its panels a stream goes on in the panels after these.
    const bool inside = at + kAheadBytes < m.panel_bytes;
    const std::size_t ahead = kAheadBytes + (inside ? 0 : (Panels - 1) * m.panel_bytes);
    typename D::Sum sums[Rows][Panels];
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const std::int32_t correction = row.corrections(a + r * row.bytes)[b];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = D::Start(correction);
    }
    DotBlock<D, Rows, Panels>(w + at, m.panel_bytes, block_lines, ahead, a + b * row.block,
                              row.bytes, sums);
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      const std::uint8_t* scale_line = w + p * m.panel_bytes + scale_at;
      if (group % Layout::kGroupsPerScaleLine == 0) D::Prefetch(scale_line + ahead);
      const typename D::F scales = D::LoadScales(scale_line);
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
        const std::uint8_t* at_row = a + r * row.bytes;
        results.Add(r, p, D::Finish(sums[r][p], row.corrections(at_row)[b]), row.scales(at_row)[b],
                    scales);
      }
    }
  }
  results.Store();
}

// The last `left` ≤ Panels panels.
template <class D, int Rows, int Panels>
void MultiplyQuantisedPanelsLeft(const MultiplyParams& m, const QuantisedRow& row,
                                 const std::uint8_t* a, const std::uint8_t* w, float* c,
                                 std::size_t left) {
  if (left == Panels) return MultiplyQuantisedBlock<D, Rows, Panels>(m, row, a, w, c);
  if constexpr (Panels > 1) {
    MultiplyQuantisedPanelsLeft<D, Rows, Panels - 1>(m, row, a, w, c, left);
  }
}

// The last `left` ≤ Rows rows, all panels.
template <class D, int Rows>
void MultiplyQuantisedRowsLeft(const MultiplyParams& m, const QuantisedRow& row,
                               const std::uint8_t* a, float* c, std::size_t left) {
  if constexpr (Rows > 1) {
    if (left < Rows) return MultiplyQuantisedRowsLeft<D, Rows - 1>(m, row, a, c, left);
  }
  constexpr int kPanels = D::PanelsFor(Rows);
  for (std::size_t p = 0; p < m.panel_count; p += kPanels) {
    const std::size_t panels = m.panel_count - p < kPanels ? m.panel_count - p : kPanels;
    MultiplyQuantisedPanelsLeft<D, Rows, kPanels>(m, row, a, m.panels + p * m.panel_bytes,
                                                  c + p * kPanelColumns, panels);
  }
}

template <class D>
void MultiplyQuantised(const MultiplyParams& m) {
  const QuantisedRow row(m.inner, m.group);
  const auto* a = static_cast<const std::uint8_t*>(m.a);
  for (std::size_t r = 0; r < m.rows; r += D::kRows) {
    const std::size_t rows = m.rows - r < D::kRows ? m.rows - r : D::kRows;
    MultiplyQuantisedRowsLeft<D, D::kRows>(m, row, a + r * row.bytes, m.c + r * kTileStride, rows);
  }
}

template <class D>
constexpr GemmKernels MakeQuantisedGemm() {
  return {.packed_row_bytes = [](std::size_t inner,
                                 std::size_t group) { return QuantisedRow(inner, group).bytes; },
          .row_multiple = 1,
          .pack_rows = PackQuantisedRows<D, typename D::Layout>,
          .begin = nullptr,
          .end = nullptr,
          .multiply = MultiplyQuantised<D>};
}

// Both quantised formats of one instruction set.
template <template <class> class D>
constexpr QuantisedKernels MakeQuantisedKernels() {
  return {.int8 = MakeQuantisedGemm<D<Int8Layout>>(), .int4 = MakeQuantisedGemm<D<Int4Layout>>()};
}

}  // namespace megascale
