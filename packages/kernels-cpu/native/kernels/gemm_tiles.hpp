#pragma once

#include <cstring>
#include <utility>

#include "kernels/kernel_table.hpp"

// multiply on tiles: c[r, j] = Σₖ a[r, k] · w[k, j]
//   a  [rows rounded up to 16, inner] bf16
//   w  panels of [inner / 2][16 columns][2 k] bf16: 32 k of a panel are one tile of 16 rows of 64
//   bytes c  [rows rounded up to 16, kTileStride] f32
// Unit is the tile unit (tile_unit.hpp): the hardware's, or its emulation. One tile step multiplies
// 32 k; c tiles take the steps in ascending k for every row count, and rows of a tile do not mix,
// so a row's result depends on that row alone. Tile numbers: c 0–3, a 4–5, w 6–7.
namespace megascale {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileInner = 32;

template <class Unit, int RowTiles, int Panels>
void MultiplyTileBlock(const MultiplyParams& m, const bf16* a, const bf16* w, float* c) {
  constexpr std::size_t kStepElements = kTileInner * kPanelColumns;
  const std::size_t a_stride = m.inner * sizeof(bf16);
  const std::size_t panel_stride = m.panel_bytes / sizeof(bf16);
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (Unit::template Zero<I>(), ...);
  }(std::make_integer_sequence<int, RowTiles * Panels>());
  for (std::size_t k = 0; k < m.inner; k += kTileInner, w += kStepElements) {
    Unit::template Load<4>(a + k, a_stride);
    if constexpr (RowTiles == 2) Unit::template Load<5>(a + kTileRows * m.inner + k, a_stride);
    [&]<int... P>(std::integer_sequence<int, P...>) {
      const auto step = [&]<int Panel>() {
        const bf16* tile = w + Panel * panel_stride;
        for (std::size_t line = 0; line < kTileRows; ++line) {
          Unit::Prefetch(tile + 2 * kStepElements + line * 32);
        }
        Unit::template Load<6 + Panel % 2>(tile, 64);
        Unit::template MultiplyAdd<Panel, 4, 6 + Panel % 2>();
        if constexpr (RowTiles == 2) {
          Unit::template MultiplyAdd<Panels + Panel, 5, 6 + Panel % 2>();
        }
      };
      (step.template operator()<P>(), ...);
    }(std::make_integer_sequence<int, Panels>());
  }
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (Unit::template Store<I>(c + I / Panels * kTileRows * kTileStride + I % Panels * kPanelColumns,
                             kTileStride * sizeof(float)),
     ...);
  }(std::make_integer_sequence<int, RowTiles * Panels>());
}

// Up to 16 rows: four panels beside one row tile.
template <class Unit>
void MultiplyOneRowTile(const MultiplyParams& m, const bf16* a, float* c) {
  const auto* w = reinterpret_cast<const bf16*>(m.panels);
  switch (m.panel_count) {
    case 1:
      return MultiplyTileBlock<Unit, 1, 1>(m, a, w, c);
    case 2:
      return MultiplyTileBlock<Unit, 1, 2>(m, a, w, c);
    case 3:
      return MultiplyTileBlock<Unit, 1, 3>(m, a, w, c);
    default:
      return MultiplyTileBlock<Unit, 1, 4>(m, a, w, c);
  }
}

// 17 rows and more: two row tiles by two panels, so that every loaded tile is used twice.
template <class Unit>
void MultiplyTwoRowTiles(const MultiplyParams& m, const bf16* a, float* c) {
  const auto panel = [&](std::size_t p) {
    return reinterpret_cast<const bf16*>(m.panels + p * m.panel_bytes);
  };
  std::size_t p = 0;
  for (; p + 2 <= m.panel_count; p += 2) {
    MultiplyTileBlock<Unit, 2, 2>(m, a, panel(p), c + p * kPanelColumns);
  }
  if (p < m.panel_count) {
    MultiplyTileBlock<Unit, 2, 1>(m, a, panel(p), c + p * kPanelColumns);
  }
}

template <class Unit>
void MultiplyTiles(const MultiplyParams& m) {
  const auto* a = static_cast<const bf16*>(m.a);
  for (std::size_t row = 0; row < m.rows; row += 2 * kTileRows) {
    const bf16* rows = a + row * m.inner;
    float* c = m.c + row * kTileStride;
    if (m.rows - row > kTileRows) {
      MultiplyTwoRowTiles<Unit>(m, rows, c);
    } else {
      MultiplyOneRowTile<Unit>(m, rows, c);
    }
  }
}

template <class Unit>
void PackTileRows(const PackParams& p) {
  for (std::size_t r = 0; r < p.count; ++r) {
    bf16* to = static_cast<bf16*>(p.dst) + r * p.inner;
    std::memcpy(to, p.rows[r], p.width * sizeof(bf16));
    std::memset(to + p.width, 0, (p.inner - p.width) * sizeof(bf16));
  }
}

template <class Unit>
constexpr GemmKernels MakeTileGemm() {
  return {.packed_row_bytes = [](std::size_t inner, std::size_t) { return inner * sizeof(bf16); },
          .row_multiple = kTileRows,
          .pack_rows = PackTileRows<Unit>,
          .begin = Unit::Configure,
          .end = Unit::Release,
          .multiply = MultiplyTiles<Unit>};
}

}  // namespace megascale
