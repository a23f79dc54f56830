#pragma once

#include "kernels/gemm_quantized/quantized_rows.hpp"

// multiply, quantized: c[r, j] = Σ over blocks of k: ((Σₖ a[r, k] · w[k, j]) · a's scale) · w's
// scale
//   a  [rows] QuantizedRow
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
class QuantizedSums {
 public:
  explicit QuantizedSums(float* c) : c_(c) {
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
  static constexpr bool kHeld = Rows * Panels <= 8;
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

// The address to fetch for the first stream, and from one stream to the next.
struct FetchTarget {
  const std::uint8_t* address;
  std::size_t stride;
};

// Panels to multiply and, as they come to their end, to fetch.
template <class Layout>
struct PanelStreams {
  const std::uint8_t* panels;
  std::size_t panel_bytes;
  const std::uint8_t* next;
  std::size_t next_panel_bytes;

  // As measured: lines of 4-bit integers are multiplied in less time than they need to come.
  static constexpr std::size_t kAheadBytes = Layout::kLineInner == 4 ? 1024 : 4096;

  // What to fetch while `panels` are read at offset `at`.
  FetchTarget Ahead(std::size_t at) const {
    const std::size_t offset = at + kAheadBytes;
    if (offset < panel_bytes) return {panels + offset, panel_bytes};
    return {next + (offset - panel_bytes), next_panel_bytes};
  }
  // Lines from `at` on for which `Ahead` stays on the same side of the panels' end.
  std::size_t LinesAlike(std::size_t at, std::size_t lines) const {
    const std::size_t offset = at + kAheadBytes;
    if (offset >= panel_bytes) return lines;
    const std::size_t left = (panel_bytes - offset) / kLineBytes;
    return left < lines ? left : lines;
  }
};

// The integer sums over `lines` of each panel from `w` on, integers of each row from `a`.
template <class D, int Rows, int Panels>
[[gnu::always_inline]] inline void DotLines(const std::uint8_t* w, std::size_t panel_bytes,
                                            std::size_t lines, FetchTarget ahead,
                                            const std::uint8_t* a, std::size_t row_bytes,
                                            typename D::Sum (&sums)[Rows][Panels]) {
  constexpr int kSteps = static_cast<int>(D::Layout::kLineInner / 4);
  for (std::size_t i = 0; i < lines; ++i, w += kLineBytes, a += 4 * kSteps) {
    typename D::Line line[Panels];
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      D::Prefetch(ahead.address + p * ahead.stride + i * kLineBytes);
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

// The integer sums of one block, from offset `at` of the panels on.
template <class D, int Rows, int Panels>
[[gnu::always_inline]] inline void DotBlock(const PanelStreams<typename D::Layout>& w,
                                            std::size_t at, const QuantizedRow& row,
                                            const std::uint8_t* a,
                                            typename D::Sum (&sums)[Rows][Panels]) {
  using Layout = typename D::Layout;
  for (std::size_t lines = row.block / Layout::kLineInner; lines > 0;) {
    const std::size_t alike = w.LinesAlike(at, lines);
    DotLines<D, Rows, Panels>(w.panels + at, w.panel_bytes, alike, w.Ahead(at), a, row.bytes, sums);
    lines -= alike;
    at += alike * kLineBytes;
    a += alike * Layout::kLineInner;
  }
}

template <class D, int Rows, int Panels>
void MultiplyQuantizedBlock(const QuantizedRow& row, std::size_t group_inner, const std::uint8_t* a,
                            const PanelStreams<typename D::Layout>& w, float* c) {
  using Layout = typename D::Layout;
  QuantizedSums<D, Rows, Panels> results(c);
  const std::size_t block_bytes = row.block / Layout::kLineInner * kLineBytes;
  const std::size_t blocks_per_group = group_inner / row.block;
  std::size_t group = 0, part = 0;
  for (std::size_t b = 0; b < row.blocks; ++b) {
    typename D::Sum sums[Rows][Panels];
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const std::int32_t correction = row.corrections(a + r * row.bytes)[b];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) sums[r][p] = D::Start(correction);
    }
    DotBlock<D, Rows, Panels>(w, GroupOffset<Layout>(group, group_inner) + part * block_bytes, row,
                              a + b * row.block, sums);
    const std::size_t scale_at = ScaleOffset<Layout>(group, group_inner);
    const FetchTarget ahead = w.Ahead(scale_at);
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      if (part == 0) D::Prefetch(ahead.address + p * ahead.stride);
      const typename D::F scales = D::LoadScales(w.panels + p * w.panel_bytes + scale_at);
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
        const std::uint8_t* at_row = a + r * row.bytes;
        results.Add(r, p, D::Finish(sums[r][p], row.corrections(at_row)[b]), row.scales(at_row)[b],
                    scales);
      }
    }
    if (++part == blocks_per_group) {
      part = 0;
      ++group;
    }
  }
  results.Store();
}

// The last `left` ≤ Panels panels.
template <class D, int Rows, int Panels>
void MultiplyQuantizedPanelsLeft(const QuantizedRow& row, std::size_t group_inner,
                                 const std::uint8_t* a, const PanelStreams<typename D::Layout>& w,
                                 float* c, std::size_t left) {
  if (left == Panels) return MultiplyQuantizedBlock<D, Rows, Panels>(row, group_inner, a, w, c);
  if constexpr (Panels > 1) {
    MultiplyQuantizedPanelsLeft<D, Rows, Panels - 1>(row, group_inner, a, w, c, left);
  }
}

// The last `left` ≤ Rows rows, all panels.
template <class D, int Rows>
void MultiplyQuantizedRowsLeft(const MultiplyParams& m, const QuantizedRow& row,
                               const std::uint8_t* a, float* c, std::size_t left) {
  if constexpr (Rows > 1) {
    if (left < Rows) return MultiplyQuantizedRowsLeft<D, Rows - 1>(m, row, a, c, left);
  }
  constexpr int kPanels = D::PanelsFor(Rows);
  for (std::size_t p = 0; p < m.panel_count; p += kPanels) {
    const std::size_t panels = m.panel_count - p < kPanels ? m.panel_count - p : kPanels;
    PanelStreams<typename D::Layout> w{.panels = m.panels + p * m.panel_bytes,
                                       .panel_bytes = m.panel_bytes,
                                       .next = m.next_panels,
                                       .next_panel_bytes = m.next_panel_bytes};
    const bool last = p + panels == m.panel_count;
    if (!last || w.next == nullptr) {
      // Where nothing is known to come, what is there already is fetched.
      w.next = last ? w.panels : w.panels + panels * m.panel_bytes;
      w.next_panel_bytes = m.panel_bytes;
    }
    MultiplyQuantizedPanelsLeft<D, Rows, kPanels>(row, m.group, a, w, c + p * kPanelColumns,
                                                  panels);
  }
}

template <class D>
void MultiplyQuantized(const MultiplyParams& m) {
  const QuantizedRow row(m.inner, m.group);
  const auto* a = static_cast<const std::uint8_t*>(m.a);
  for (std::size_t r = 0; r < m.rows; r += D::kRows) {
    const std::size_t rows = m.rows - r < D::kRows ? m.rows - r : D::kRows;
    MultiplyQuantizedRowsLeft<D, D::kRows>(m, row, a + r * row.bytes, m.c + r * kTileStride, rows);
  }
}

template <class D>
constexpr GemmKernels MakeQuantizedGemm() {
  return {.packed_row_bytes = [](std::size_t inner,
                                 std::size_t group) { return QuantizedRow(inner, group).bytes; },
          .row_multiple = 1,
          .pack_rows = PackQuantizedRows<D, typename D::Layout>,
          .begin = nullptr,
          .end = nullptr,
          .multiply = MultiplyQuantized<D>};
}

// Both quantized formats of one instruction set.
template <template <class> class D>
constexpr QuantizedKernels MakeQuantizedKernels() {
  return {.int8 = MakeQuantizedGemm<D<Int8Layout>>(), .int4 = MakeQuantizedGemm<D<Int4Layout>>()};
}

}  // namespace megascale
