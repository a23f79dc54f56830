#pragma once

#include <cstring>
#include <utility>

#include "kernels/gemm/gemm.hpp"

// multiply on tiles: c[r, j] = Σₖ a[r, k] · w[k, j]
//   a  [rows rounded up to 16, PackedStride] bf16
//   w  panels of [inner / 2][16 columns][2 k] bf16: 32 k of a panel are one tile of 16 rows of 64
//      bytes
//   c  [rows rounded up to 16, kTileStride] f32
// Unit is the tile unit (tile_unit.hpp): the hardware's, or its emulation. One tile step multiplies
// 32 k; c tiles take the steps in ascending k for every row count, and rows of a tile do not mix,
// so a row's result depends on that row alone. Between blocks of k a c tile waits in c, unchanged.
//
// Up to 16 rows: four panels beside one row tile, four streams of weights. More: two row tiles by
// two panels, every loaded tile used twice. Above 32 rows k is cut in blocks: the part of two
// panels then stays in the first-level cache for all row tiles, and only a comes from the second
// level. Tile numbers: c 0–3, a 4–5, w 6–7. A tile load waits for its cache lines one by one, so
// all lines are fetched two steps ahead.
namespace megascale {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileInner = 32;
constexpr std::size_t kTileBytes = 1024;
constexpr std::size_t kAheadSteps = 2;
// 2 panels · 16 steps · 1 KiB = 32 KiB of a first-level cache of 48 KiB.
constexpr std::size_t kBlockSteps = 16;

// Some steps of k for one block of c tiles.
struct TileBlock {
  const char* a;
  std::size_t a_stride;  // bytes from row to row
  const char* w;
  std::size_t panel_bytes;
  std::size_t steps;
  float* c;
  bool first;  // k starts here: c tiles start at 0, else at c
  // Where the panels' lines go on behind these steps.
  const char* next;
  std::size_t next_stride;
};

// The lines of 1 KiB of a panel, two steps after `step`.
template <class Unit>
inline void FetchWeights(const TileBlock& b, std::size_t panel, std::size_t step) {
  const std::size_t at = step + kAheadSteps;
  const char* tile = at < b.steps ? b.w + panel * b.panel_bytes + at * kTileBytes
                                  : b.next + panel * b.next_stride + (at - b.steps) * kTileBytes;
  for (std::size_t line = 0; line < kTileRows; ++line) Unit::Prefetch(tile + line * 64);
}

template <class Unit>
inline void FetchRows(const TileBlock& b, std::size_t row_tile, std::size_t step) {
  const char* tile = b.a + row_tile * kTileRows * b.a_stride + (step + kAheadSteps) * 64;
  for (std::size_t row = 0; row < kTileRows; ++row) Unit::Prefetch(tile + row * b.a_stride);
}

template <class Unit, int RowTiles, int Panels>
void MultiplyTileBlock(const TileBlock& b) {
  constexpr auto kTiles = std::make_integer_sequence<int, RowTiles * Panels>();
  const auto c_tile = [&](int i) {
    return b.c + i / Panels * kTileRows * kTileStride + i % Panels * kPanelColumns;
  };
  constexpr std::size_t kStride = kTileStride * sizeof(float);
  [&]<int... I>(std::integer_sequence<int, I...>) {
    if (b.first) {
      (Unit::template Zero<I>(), ...);
    } else {
      (Unit::template Load<I>(c_tile(I), kStride), ...);
    }
  }(kTiles);
  for (std::size_t s = 0; s < b.steps; ++s) {
    Unit::template Load<4>(b.a + s * 64, b.a_stride);
    FetchRows<Unit>(b, 0, s);
    if constexpr (RowTiles == 2) {
      Unit::template Load<5>(b.a + kTileRows * b.a_stride + s * 64, b.a_stride);
      FetchRows<Unit>(b, 1, s);
    }
    [&]<int... P>(std::integer_sequence<int, P...>) {
      const auto step = [&]<int Panel>() {
        FetchWeights<Unit>(b, Panel, s);
        Unit::template Load<6 + Panel % 2>(b.w + Panel * b.panel_bytes + s * kTileBytes, 64);
        Unit::template MultiplyAdd<Panel, 4, 6 + Panel % 2>();
        if constexpr (RowTiles == 2) {
          Unit::template MultiplyAdd<Panels + Panel, 5, 6 + Panel % 2>();
        }
      };
      (step.template operator()<P>(), ...);
    }(std::make_integer_sequence<int, Panels>());
  }
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (Unit::template Store<I>(c_tile(I), kStride), ...);
  }(kTiles);
}

// One row tile and all panels.
template <class Unit>
void MultiplyOneRowTile(const TileBlock& b, std::size_t panel_count) {
  switch (panel_count) {
    case 1:
      return MultiplyTileBlock<Unit, 1, 1>(b);
    case 2:
      return MultiplyTileBlock<Unit, 1, 2>(b);
    case 3:
      return MultiplyTileBlock<Unit, 1, 3>(b);
    default:
      return MultiplyTileBlock<Unit, 1, 4>(b);
  }
}

// All rows and one or two panels, from `b.a` and `b.c` on.
template <class Unit, int Panels>
void MultiplyAllRows(TileBlock b, std::size_t rows) {
  for (std::size_t row = 0; row < rows; row += 2 * kTileRows) {
    if (rows - row > kTileRows) {
      MultiplyTileBlock<Unit, 2, Panels>(b);
    } else {
      MultiplyTileBlock<Unit, 1, Panels>(b);
    }
    b.a += 2 * kTileRows * b.a_stride;
    b.c += 2 * kTileRows * kTileStride;
  }
}

template <class Unit>
void MultiplyTwoRowTiles(const MultiplyParams& m, const TileBlock& whole, const NextPanels& next) {
  const std::size_t steps = whole.steps;
  const std::size_t block = m.rows > 2 * kTileRows ? kBlockSteps : steps;
  for (std::size_t step = 0; step < steps; step += block) {
    for (std::size_t p = 0; p < m.panel_count; p += 2) {
      TileBlock b = whole;
      b.a += step * 64;
      b.w += p * m.panel_bytes + step * kTileBytes;
      b.c += p * kPanelColumns;
      b.first = step == 0;
      b.steps = steps - step < block ? steps - step : block;
      if (p + 2 < m.panel_count) {
        b.next = b.w + 2 * m.panel_bytes;
      } else if (step + block < steps) {
        b.next = whole.w + (step + block) * kTileBytes;
      } else {
        b.next = next.panels;
        b.next_stride = next.stride;
      }
      if (m.panel_count - p >= 2) {
        MultiplyAllRows<Unit, 2>(b, m.rows);
      } else {
        MultiplyAllRows<Unit, 1>(b, m.rows);
      }
    }
  }
}

template <class Unit>
void MultiplyTiles(const MultiplyParams& m) {
  const NextPanels next = NextPanelsOf(m);
  TileBlock b{.a = static_cast<const char*>(m.a),
              .a_stride = PackedStride(m.inner, sizeof(bf16)),
              .w = reinterpret_cast<const char*>(m.panels),
              .panel_bytes = m.panel_bytes,
              .steps = m.inner / kTileInner,
              .c = m.c,
              .first = true,
              .next = next.panels,
              .next_stride = m.panel_bytes};
  if (m.rows > kTileRows) return MultiplyTwoRowTiles<Unit>(m, b, next);
  b.next_stride = next.stride;
  MultiplyOneRowTile<Unit>(b, m.panel_count);
}

template <class Unit>
constexpr GemmKernels MakeTileGemm() {
  return {.packed_row_bytes = [](std::size_t inner,
                                 std::size_t) { return PackedStride(inner, sizeof(bf16)); },
          .row_multiple = kTileRows,
          .pack_rows = CopyRows,
          .begin = Unit::Configure,
          .end = Unit::Release,
          .multiply = MultiplyTiles<Unit>};
}

}  // namespace megascale
