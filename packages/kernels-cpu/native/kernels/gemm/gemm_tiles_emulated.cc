#include <cfloat>
#include <cmath>
#include <cstring>

#include "kernels/gemm/gemm_tiles.hpp"
#include "kernels/gemm/tile_unit.hpp"
#include "kernels/gemm_quantized/gemm_quantized_tiles.hpp"
#include "runtime/bfloat16.hpp"

namespace megascale {
namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;
thread_local std::uint8_t tiles[kTiles][kRows][kRowBytes];

float Flush(float value) { return std::fabs(value) < FLT_MIN ? std::copysign(0.0f, value) : value; }

// A tile's pairs apart: element [row][index] of `first` is bf16 2 · index of the row, of `second` 2
// · index + 1.
struct Pairs {
  float first[kRows][16], second[kRows][16];
  float smallest = FLT_MAX;  // of the magnitudes that are not 0

  explicit Pairs(int tile) {
    for (int row = 0; row < kRows; ++row) {
      for (int i = 0; i < 16; ++i) {
        bf16 pair[2];
        std::memcpy(pair, &tiles[tile][row][i * 4], sizeof pair);
        first[row][i] = Flush(Bf16ToFloat(pair[0]));
        second[row][i] = Flush(Bf16ToFloat(pair[1]));
        smallest = Smaller(smallest, first[row][i]);
        smallest = Smaller(smallest, second[row][i]);
      }
    }
  }

  static float Smaller(float smallest, float value) {
    const float magnitude = std::fabs(value);
    return magnitude != 0.0f && magnitude < smallest ? magnitude : smallest;
  }
};

// sums[n] = fma(x, y[n], sums[n]), subnormal results flushed. `plain`: no product and no sum can be
// subnormal, and then a product of two bf16 is exact in f32, so multiplying and adding is the same.
void Accumulate(float x, const float* y, bool plain, float* sums) {
  if (plain) {
    for (int n = 0; n < 16; ++n) sums[n] += x * y[n];
  } else {
    for (int n = 0; n < 16; ++n) sums[n] = Flush(std::fma(x, y[n], sums[n]));
  }
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
  const Pairs left(a), right(b);
  // Products are multiples of 2⁻¹⁴ of the smallest one (8 bits by 8 bits), and so are their sums.
  const bool plain = left.smallest * right.smallest * 0x1p-14f >= FLT_MIN;
  for (int m = 0; m < kRows; ++m) {
    float even[16] = {}, odd[16] = {}, sums[16];
    for (int k = 0; k < kRows; ++k) {
      Accumulate(left.first[m][k], right.first[k], plain, even);
      Accumulate(left.second[m][k], right.second[k], plain, odd);
    }
    std::memcpy(sums, tiles[c][m], sizeof sums);
    for (int n = 0; n < 16; ++n) sums[n] = Flush(Flush(sums[n]) + Flush(even[n] + odd[n]));
    std::memcpy(tiles[c][m], sums, sizeof sums);
  }
}

void EmulatedTileUnit::MultiplyAddInt8Tiles(int c, int a, int b) {
  for (int m = 0; m < kRows; ++m) {
    std::uint32_t sums[16];
    std::memcpy(sums, tiles[c][m], sizeof sums);
    for (int k = 0; k < kRowBytes; ++k) {
      const int x = static_cast<std::int8_t>(tiles[a][m][k]);
      const std::uint8_t* y = tiles[b][k / 4] + k % 4;
      for (int n = 0; n < 16; ++n) sums[n] += static_cast<std::uint32_t>(x * y[4 * n]);
    }
    std::memcpy(tiles[c][m], sums, sizeof sums);
  }
}

extern const GemmKernels kEmulatedTileGemm = MakeTileGemm<EmulatedTileUnit>();
extern const QuantizedKernels kEmulatedTileQuantized = MakeQuantizedTileKernels<EmulatedTileUnit>();

}  // namespace megascale
