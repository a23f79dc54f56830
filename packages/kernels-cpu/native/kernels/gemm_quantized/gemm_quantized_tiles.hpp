#pragma once

#include <cstring>
#include <utility>

#include "kernels/gemm/gemm_tiles.hpp"
#include "kernels/gemm_quantized/quantized_rows.hpp"

// multiply, quantized, on tiles: the same sums as gemm_quantized.hpp, to the bit, because integers
// are exact and the f32 chain over blocks is the same.
//   a  [rows rounded up to 16] QuantizedRow
//   w  panels of kInt8 or kInt4
//   c  [rows rounded up to 16, kTileStride] f32
// One tile step multiplies 64 k. Whole steps of 8-bit panels are loaded where they lie; 4-bit ones,
// and the half step at the end of a block of 32 or 96 k, go through a buffer of one tile, once for
// all row tiles beside it. Tile numbers: c 0–3, a 4–5, w 6–7.
namespace megascale {

constexpr std::size_t kInt8TileInner = 64;

// `lines` of a panel as bytes [4-k line][16 columns][4 k], zeros from there to 16 lines.
template <class Unit, class Layout>
void UnpackTile(const std::uint8_t* from, std::size_t lines, std::uint8_t* tile) {
  constexpr std::size_t kSteps = Layout::kLineInner / 4;
  for (std::size_t line = 0; line < lines; ++line, from += kLineBytes) {
    std::uint8_t* to = tile + line * kSteps * kLineBytes;
    if constexpr (kSteps == 1) {
      std::memcpy(to, from, kLineBytes);
    } else {
      for (std::size_t i = 0; i < kLineBytes; ++i) {
        to[i] = from[i] & 0xf;
        to[kLineBytes + i] = from[i] >> 4;
      }
    }
  }
  std::memset(tile + lines * kSteps * kLineBytes, 0, (16 - lines * kSteps) * kLineBytes);
}

// c += the block's integer sums of 16 rows and one panel, with their scales. The values of a row
// stand side by side, so compilers turn the loops into vectors.
template <class Unit, class Layout>
void AddScaledTile(const std::int32_t* sums, const std::uint8_t* scale_line, const std::uint8_t* a,
                   const QuantizedRow& row, std::size_t block, std::size_t rows, float* c) {
  float scales[kPanelColumns];
  if constexpr (Layout::kGroupsPerScaleLine == 1) {
    std::memcpy(scales, scale_line, sizeof scales);
  } else {
    bf16 bits[kPanelColumns];
    std::memcpy(bits, scale_line, sizeof bits);
    for (std::size_t i = 0; i < kPanelColumns; ++i) scales[i] = Bf16ToFloat(bits[i]);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    const std::int32_t correction = row.corrections(a + r * row.bytes)[block];
    const float row_scale = row.scales(a + r * row.bytes)[block];
    for (std::size_t i = 0; i < kPanelColumns; ++i) {
      const auto products = static_cast<float>(sums[r * kPanelColumns + i] + correction);
      c[r * kTileStride + i] = c[r * kTileStride + i] + products * row_scale * scales[i];
    }
  }
}

// RowTiles · Panels tiles of c over one step of k: `lines` from `w` on, integers of each row from
// `a`.
template <class Unit, class Layout, int RowTiles, int Panels>
void MultiplyQuantizedStep(const std::uint8_t* w, std::size_t panel_bytes, std::size_t lines,
                           const std::uint8_t* a, std::size_t row_bytes) {
  constexpr std::size_t kAheadBytes = 2048;
  Unit::template Load<4>(a, row_bytes);
  if constexpr (RowTiles == 2) Unit::template Load<5>(a + kTileRows * row_bytes, row_bytes);
  const auto step = [&]<int Panel>() {
    alignas(64) std::uint8_t unpacked[kTileRows * kLineBytes];
    const std::uint8_t* tile = w + Panel * panel_bytes;
    for (std::size_t i = 0; i < lines; ++i) Unit::Prefetch(tile + kAheadBytes + i * kLineBytes);
    if (Layout::kLineInner != 4 || lines != kTileRows) {
      UnpackTile<Unit, Layout>(tile, lines, unpacked);
      tile = unpacked;
    }
    Unit::template Load<6 + Panel % 2>(tile, kLineBytes);
    Unit::template MultiplyAddInt8<Panel, 4, 6 + Panel % 2>();
    if constexpr (RowTiles == 2) {
      Unit::template MultiplyAddInt8<Panels + Panel, 5, 6 + Panel % 2>();
    }
  };
  [&]<int... P>(std::integer_sequence<int, P...>) {
    (step.template operator()<P>(), ...);
  }(std::make_integer_sequence<int, Panels>());
}

template <class Unit, class Layout, int RowTiles, int Panels>
void MultiplyQuantizedTileBlock(const MultiplyParams& m, const QuantizedRow& row,
                                const std::uint8_t* a, const std::uint8_t* w, std::size_t rows,
                                float* c) {
  for (std::size_t r = 0; r < rows; ++r) {
    std::memset(c + r * kTileStride, 0, Panels * kPanelColumns * sizeof(float));
  }
  const std::size_t blocks_per_group = m.group / row.block;
  for (std::size_t b = 0; b < row.blocks; ++b) {
    const std::size_t group = b / blocks_per_group, part = b % blocks_per_group;
    const std::uint8_t* lines = w + GroupOffset<Layout>(group, m.group) +
                                part * (row.block / Layout::kLineInner) * kLineBytes;
    const auto tiles = std::make_integer_sequence<int, RowTiles * Panels>();
    [&]<int... I>(std::integer_sequence<int, I...>) { (Unit::template Zero<I>(), ...); }(tiles);
    for (std::size_t k = 0; k < row.block; k += kInt8TileInner) {
      const std::size_t inner = row.block - k < kInt8TileInner ? row.block - k : kInt8TileInner;
      MultiplyQuantizedStep<Unit, Layout, RowTiles, Panels>(
          lines + k / Layout::kLineInner * kLineBytes, m.panel_bytes, inner / Layout::kLineInner,
          a + b * row.block + k, row.bytes);
    }
    const auto finish = [&]<int Tile>() {
      constexpr int kPanel = Tile % Panels, kFirstRow = Tile / Panels * int{kTileRows};
      alignas(64) std::int32_t sums[kTileRows * kPanelColumns];
      Unit::template Store<Tile>(sums, kLineBytes);
      const std::size_t left = rows > kFirstRow ? rows - kFirstRow : 0;
      AddScaledTile<Unit, Layout>(
          sums, w + kPanel * m.panel_bytes + ScaleOffset<Layout>(group, m.group),
          a + kFirstRow * row.bytes, row, b, left < kTileRows ? left : kTileRows,
          c + kFirstRow * kTileStride + kPanel * kPanelColumns);
    };
    [&]<int... I>(std::integer_sequence<int, I...>) {
      (finish.template operator()<I>(), ...);
    }(tiles);
  }
}

// Up to 16 rows: four panels beside one row tile; more rows: two row tiles by two panels.
template <class Unit, class Layout, int RowTiles, int Panels>
void MultiplyQuantizedPanels(const MultiplyParams& m, const QuantizedRow& row,
                             const std::uint8_t* a, std::size_t rows, float* c) {
  for (std::size_t p = 0; p < m.panel_count; p += Panels) {
    const std::uint8_t* w = m.panels + p * m.panel_bytes;
    float* to = c + p * kPanelColumns;
    const std::size_t left = m.panel_count - p;
    if (left >= Panels) {
      MultiplyQuantizedTileBlock<Unit, Layout, RowTiles, Panels>(m, row, a, w, rows, to);
    } else if (left == 1) {
      MultiplyQuantizedTileBlock<Unit, Layout, RowTiles, 1>(m, row, a, w, rows, to);
    } else if (left == 2) {
      MultiplyQuantizedTileBlock<Unit, Layout, 1, 2>(m, row, a, w, rows, to);
    } else {
      MultiplyQuantizedTileBlock<Unit, Layout, 1, 3>(m, row, a, w, rows, to);
    }
  }
}

template <class Unit, class Layout>
void MultiplyQuantizedTiles(const MultiplyParams& m) {
  const QuantizedRow row(m.inner, m.group);
  for (std::size_t r = 0; r < m.rows; r += 2 * kTileRows) {
    const auto* a = static_cast<const std::uint8_t*>(m.a) + r * row.bytes;
    float* c = m.c + r * kTileStride;
    const std::size_t rows = m.rows - r;
    if (rows > kTileRows) {
      MultiplyQuantizedPanels<Unit, Layout, 2, 2>(m, row, a, rows < 32 ? rows : 32, c);
    } else {
      MultiplyQuantizedPanels<Unit, Layout, 1, 4>(m, row, a, rows, c);
    }
  }
}

template <class Unit, class Layout>
constexpr GemmKernels MakeQuantizedTileGemm() {
  return {.packed_row_bytes = [](std::size_t inner,
                                 std::size_t group) { return QuantizedRow(inner, group).bytes; },
          .row_multiple = kTileRows,
          .pack_rows = PackQuantizedRows<Unit, Layout>,
          .begin = Unit::Configure,
          .end = Unit::Release,
          .multiply = MultiplyQuantizedTiles<Unit, Layout>};
}

template <class Unit>
constexpr QuantizedKernels MakeQuantizedTileKernels() {
  return {.int8 = MakeQuantizedTileGemm<Unit, Int8Layout>(),
          .int4 = MakeQuantizedTileGemm<Unit, Int4Layout>()};
}

}  // namespace megascale
