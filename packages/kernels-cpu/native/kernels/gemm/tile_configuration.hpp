#pragma once

#include <cstdint>

// What LDTILECFG reads: all eight tiles are 16 rows of 64 bytes.
namespace megascale {

struct TileConfiguration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);

// One per file, so that it needs no symbol that files share.
static constexpr TileConfiguration kTileConfiguration;

}  // namespace megascale
