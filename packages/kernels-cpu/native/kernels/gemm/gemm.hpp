#pragma once

#include <cstring>

#include "kernels/dispatch/kernel_table.hpp"

// multiply: c[r, j] = Σₖ a[r, k] · w[k, j]
//   a  [rows, PackedStride] of P::Element: exact from bf16
//   w  panels of [inner / 2][16 columns][2 k] bf16
//   c  [rows, kTileStride] f32
// Each c element is one chain over ascending pairs of k from 0, whatever rows and panels stand
// beside it in registers; between blocks of k a chain waits in c, as f32 like in its register.
//
// Few rows, one register block: bound by reading w. Up to four panels are walked at once, each
// fetched 2 KiB ahead, at its end into the panels that this thread multiplies next. More rows: k is
// cut in blocks so that the panels' part stays in the first-level cache while the rows pass by, and
// each pass fetches its share of the next block.
//
// P multiplies pairs of k:
//   F                                  16 f32 sums
//   Element, kSteps                    of a packed row; elements per pair of k: 1 or 2
//   Weights, LoadWeights<step>(pair)   16 columns of the pair, or of one k of it
//   Row, BroadcastRow(element)
//   MultiplyAdd(row, weights, sums)
//   kRows, PanelsFor(rows)             the register block
//   kFewRows                           ≥ kRows, of a block that walks all of k
//   Zero() Load(at) Store(at, sums) Prefetch(at)
namespace megascale {

// Bytes of a packed row: a line more than its elements, so that rows do not fall into few sets of
// the caches.
static inline constexpr std::size_t PackedStride(std::size_t inner, std::size_t element_bytes) {
  return inner * element_bytes + 64;
}

// Some pairs of k in a row, and the line to fetch beside the first of them.
struct PairSpan {
  std::size_t pairs;
  const char* ahead;
  std::size_t ahead_stride;  // to the next panel's
  std::size_t ahead_step;    // to the next pair's: a line, or less where more passes follow
};

// One register block over the pairs of two spans.
template <class P>
struct RegisterBlock {
  const typename P::Element* a;
  std::size_t a_stride;  // elements
  const bf16* w;
  std::size_t panel_stride;  // elements
  float* c;
  bool first;  // k starts here: sums start at 0, else at c
  PairSpan spans[2];
};

template <class P, int Rows, int Panels>
inline void MultiplyBlock(const RegisterBlock<P>& b) {
  typename P::F sums[Rows][Panels];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      sums[r][p] = b.first ? P::Zero() : P::Load(b.c + r * kTileStride + p * kPanelColumns);
    }
  }
  const typename P::Element* a = b.a;
  const bf16* w = b.w;
  for (const PairSpan& span : b.spans) {
    const char* ahead = span.ahead;
    for (std::size_t pair = 0; pair < span.pairs; ++pair) {
      const auto step = [&]<int Step>() __attribute__((always_inline)) {
        typename P::Weights weights[Panels];
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) {
          weights[p] = P::template LoadWeights<Step>(w + p * b.panel_stride);
        }
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
          const typename P::Row x = P::BroadcastRow(a + r * b.a_stride + Step);
#pragma GCC unroll 4
          for (int p = 0; p < Panels; ++p) sums[r][p] = P::MultiplyAdd(x, weights[p], sums[r][p]);
        }
      };
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) P::Prefetch(ahead + p * span.ahead_stride);
      step.template operator()<0>();
      if constexpr (P::kSteps == 2) step.template operator()<1>();
      ahead += span.ahead_step;
      w += 2 * kPanelColumns;
      a += P::kSteps;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < Panels; ++p) {
      P::Store(b.c + r * kTileStride + p * kPanelColumns, sums[r][p]);
    }
  }
}

// The last `left` ≤ Panels panels.
template <class P, int Rows, int Panels>
void MultiplyPanelsLeft(const RegisterBlock<P>& b, std::size_t left) {
  if (left == Panels) return MultiplyBlock<P, Rows, Panels>(b);
  if constexpr (Panels > 1) MultiplyPanelsLeft<P, Rows, Panels - 1>(b, left);
}

// `rows` ≤ Rows rows, all panels. The spans tell of the first panel.
template <class P, int Rows>
void MultiplyRows(RegisterBlock<P> b, std::size_t rows, std::size_t panel_count) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return MultiplyRows<P, Rows - 1>(b, rows, panel_count);
  }
  constexpr int kPanels = P::PanelsFor(Rows);
  for (std::size_t p = 0; p < panel_count; p += kPanels) {
    MultiplyPanelsLeft<P, Rows, kPanels>(b, panel_count - p < kPanels ? panel_count - p : kPanels);
    b.w += kPanels * b.panel_stride;
    b.c += kPanels * kPanelColumns;
    for (PairSpan& span : b.spans) span.ahead += kPanels * span.ahead_stride;
  }
}

// What this thread multiplies after these panels, or these again, which are there already.
struct NextPanels {
  const char* panels;
  std::size_t stride;
};

static inline NextPanels NextPanelsOf(const MultiplyParams& m) {
  const bool known = m.next_panels != nullptr;
  return {reinterpret_cast<const char*>(known ? m.next_panels : m.panels),
          known ? m.next_panel_bytes : m.panel_bytes};
}

constexpr std::size_t kPairBytes = 64;  // of a panel: one pair of k
constexpr std::size_t kAheadPairs = 32;
// 4 panels · 96 pairs · 64 bytes = 24 KiB, half of a first-level cache.
constexpr std::size_t kBlockPairs = 96;

// One register block of rows over all of k.
template <class P>
void MultiplyFewRows(const MultiplyParams& m, RegisterBlock<P> b) {
  const NextPanels next = NextPanelsOf(m);
  const std::size_t pairs = m.inner / 2;
  const std::size_t inside = pairs > kAheadPairs ? pairs - kAheadPairs : 0;
  b.first = true;
  const auto panels = static_cast<std::size_t>(P::PanelsFor(static_cast<int>(m.rows)));
  for (std::size_t p = 0; p < m.panel_count; p += panels) {
    const std::size_t left = m.panel_count - p;
    const char* const here = reinterpret_cast<const char*>(m.panels + p * m.panel_bytes);
    b.w = reinterpret_cast<const bf16*>(here);
    b.c = m.c + p * kPanelColumns;
    b.spans[0] = {inside, here + kAheadPairs * kPairBytes, m.panel_bytes, kPairBytes};
    b.spans[1] = {pairs - inside, next.panels, next.stride, kPairBytes};
    if (left > panels) {
      b.spans[1].ahead = here + panels * m.panel_bytes;
      b.spans[1].ahead_stride = m.panel_bytes;
    }
    MultiplyRows<P, P::kFewRows>(b, m.rows, left < panels ? left : panels);
  }
}

template <class P>
void MultiplyManyRows(const MultiplyParams& m, RegisterBlock<P> b) {
  const NextPanels next = NextPanelsOf(m);
  const std::size_t pairs = m.inner / 2;
  const std::size_t passes = (m.rows + P::kRows - 1) / P::kRows;
  const std::size_t rows = m.rows / passes, longer = m.rows % passes;
  const auto* const a = b.a;
  for (std::size_t pair = 0; pair < pairs; pair += kBlockPairs) {
    const std::size_t left = pairs - pair, count = left < kBlockPairs ? left : kBlockPairs;
    const bool last = left <= kBlockPairs;
    const char* const here = reinterpret_cast<const char*>(m.panels) + pair * kPairBytes;
    const char* const ahead = last ? next.panels : here + kBlockPairs * kPairBytes;
    const std::size_t step = (kPairBytes + passes - 1) / passes;
    b.first = pair == 0;
    b.w = reinterpret_cast<const bf16*>(here);
    std::size_t row = 0;
    for (std::size_t pass = 0; pass < passes; ++pass) {
      b.a = a + row * b.a_stride + pair * P::kSteps;
      b.c = m.c + row * kTileStride;
      b.spans[0] = {count, ahead + pass * count * step, last ? next.stride : m.panel_bytes, step};
      const std::size_t pass_rows = rows + (pass < longer ? 1 : 0);
      MultiplyRows<P, P::kRows>(b, pass_rows, m.panel_count);
      row += pass_rows;
    }
  }
}

template <class P>
void Multiply(const MultiplyParams& m) {
  using Element = typename P::Element;
  const RegisterBlock<P> b{
      .a = static_cast<const Element*>(m.a),
      .a_stride = PackedStride(m.inner * P::kSteps / 2, sizeof(Element)) / sizeof(Element),
      .w = reinterpret_cast<const bf16*>(m.panels),
      .panel_stride = m.panel_bytes / sizeof(bf16),
      .c = m.c,
      .first = true,
      .spans = {}};
  if (m.rows <= P::kFewRows) {
    MultiplyFewRows<P>(m, b);
  } else {
    MultiplyManyRows<P>(m, b);
  }
}

// Products in f32: weights are widened by a shift or a mask, packed rows hold f32.
template <class V>
struct FloatProducts : V {
  using Element = float;
  using Weights = typename V::F;
  using Row = typename V::F;
  static constexpr int kSteps = 2;
  static constexpr int kFewRows = V::kRows;

  template <int Step>
  static Weights LoadWeights(const bf16* pair) {
    return Step == 0 ? V::LoadPairFirst(pair) : V::LoadPairSecond(pair);
  }
  static Row BroadcastRow(const float* at) { return V::Broadcast(*at); }
};

template <class V>
void PackFloatRows(const PackParams& p) {
  for (std::size_t r = 0; r < p.count; ++r) {
    const bf16* from = p.rows[r];
    char* row = static_cast<char*>(p.dst) + r * PackedStride(p.inner, sizeof(float));
    float* to = reinterpret_cast<float*>(row);
    std::size_t k = 0;
    for (; k + 16 <= p.width; k += 16) V::Store(to + k, V::LoadBf16(from + k));
    for (; k < p.inner; k += 16) {
      const std::size_t left = k < p.width ? p.width - k : 0;
      V::Store(to + k, V::LoadBf16Partial(from + (left > 0 ? k : 0), left));
    }
  }
}

// Rows as they are, zero from width on.
static inline void CopyRows(const PackParams& p) {
  for (std::size_t r = 0; r < p.count; ++r) {
    char* to = static_cast<char*>(p.dst) + r * PackedStride(p.inner, sizeof(bf16));
    std::memcpy(to, p.rows[r], p.width * sizeof(bf16));
    std::memset(to + p.width * sizeof(bf16), 0, (p.inner - p.width) * sizeof(bf16));
  }
}

template <class V>
constexpr GemmKernels MakeGemm() {
  return {.packed_row_bytes = [](std::size_t inner,
                                 std::size_t) { return PackedStride(inner, sizeof(float)); },
          .row_multiple = 1,
          .pack_rows = PackFloatRows<V>,
          .begin = nullptr,
          .end = nullptr,
          .multiply = Multiply<FloatProducts<V>>};
}

}  // namespace megascale
