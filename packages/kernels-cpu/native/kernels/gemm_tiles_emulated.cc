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

// A tile's pairs apart: element [row][index] of `first` is bf16 2 · index of the row, of `second` 2 · index + 1.
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
        for (const float value : {first[row][i], second[row][i]}) {
          if (value != 0.0f) smallest = std::fmin(smallest, std::fabs(value));
        }
      }
    }
  }
};

// sums[n] = fma(x, y[n], sums[n]). A product of two bf16 is exact in f32 unless it is subnormal, so nearly always a plain sum is the same.
void Accumulate(float x, const float* y, bool products_are_exact, float* sums) {
  if (products_are_exact) {
    for (int n = 0; n < 16; ++n) sums[n] = Flush(sums[n] + x * y[n]);
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
  const bool exact = left.smallest * right.smallest >= FLT_MIN;
  for (int m = 0; m < kRows; ++m) {
    float even[16] = {}, odd[16] = {}, sums[16];
    for (int k = 0; k < kRows; ++k) {
      Accumulate(left.first[m][k], right.first[k], exact, even);
      Accumulate(left.second[m][k], right.second[k], exact, odd);
    }
    std::memcpy(sums, tiles[c][m], sizeof sums);
    for (int n = 0; n < 16; ++n) sums[n] = Flush(Flush(sums[n]) + Flush(even[n] + odd[n]));
    std::memcpy(tiles[c][m], sums, sizeof sums);
  }
}

extern const GemmKernels kEmulatedTileGemm = MakeTileGemm<EmulatedTileUnit>();

}  // namespace megascale
