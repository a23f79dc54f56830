#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/gemm_tiles.hpp"
#include "kernels/tile_unit.hpp"
#include "runtime/bfloat16.hpp"

namespace megascale {
namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;
thread_local std::uint8_t tiles[kTiles][kRows][kRowBytes];

float Flush(float value) { return std::fabs(value) < FLT_MIN ? std::copysign(0.0f, value) : value; }

float ReadBf16(int tile, int row, int index) {
  bf16 bits;
  std::memcpy(&bits, &tiles[tile][row][index * 2], sizeof bits);
  return Flush(Bf16ToFloat(bits));
}

}  // namespace

void EmulatedTileUnit::ZeroTile(int tile) { std::memset(tiles[tile], 0, sizeof tiles[tile]); }

void EmulatedTileUnit::LoadTile(int tile, const void* from, std::size_t stride) {
  for (int row = 0; row < kRows; ++row) {
    std::memcpy(tiles[tile][row], static_cast<const char*>(from) + row * stride, kRowBytes);
  }
}

void EmulatedTileUnit::StoreTile(int tile, void* to, std::size_t stride) {
  for (int row = 0; row < kRows; ++row) {
    std::memcpy(static_cast<char*>(to) + row * stride, tiles[tile][row], kRowBytes);
  }
}

void EmulatedTileUnit::MultiplyAddTiles(int c, int a, int b) {
  for (int m = 0; m < kRows; ++m) {
    for (int n = 0; n < kRowBytes / 4; ++n) {
      float even = 0.0f, odd = 0.0f;
      for (int k = 0; k < kRows; ++k) {
        even = Flush(std::fma(ReadBf16(a, m, 2 * k), ReadBf16(b, k, 2 * n), even));
        odd = Flush(std::fma(ReadBf16(a, m, 2 * k + 1), ReadBf16(b, k, 2 * n + 1), odd));
      }
      float sum;
      std::memcpy(&sum, &tiles[c][m][n * 4], sizeof sum);
      sum = Flush(Flush(sum) + Flush(even + odd));
      std::memcpy(&tiles[c][m][n * 4], &sum, sizeof sum);
    }
  }
}

extern const GemmKernels kEmulatedTileGemm = MakeTileGemm<EmulatedTileUnit>();

}  // namespace megascale
