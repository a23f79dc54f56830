#pragma once

#include <cstddef>
#include <cstdint>

// What gemm_tiles.hpp asks of a tile unit. All eight tiles are 16 rows of 64 bytes, per thread.
//
//   Configure()                 before a thread's first tile instruction
//   Release()                   after its last one: the tiles' 8 KiB need not be saved at a context
//   switch Zero<tile>() Load<tile>(from, stride)    16 rows of 64 bytes, `stride` bytes apart
//   Store<tile>(to, stride)
//   MultiplyAdd<c, a, b>()      TDPBF16PS, below
//   MultiplyAddInt8<c, a, b>()  TDPBSUD, below
//   Prefetch(at)                a cache line into the first level
//
// TDPBF16PS (Intel SDM, volume 2), for each row m and column n of c:
//   even = odd = 0
//   for k in 0 … 15:  even = fma(a[m][2k], b[k][2n], even);  odd = fma(a[m][2k + 1], b[k][2n + 1],
//   odd) c[m][n] = c[m][n] + (even + odd)
// f32, to nearest even; subnormal inputs count as 0, subnormal results become 0.
//
// TDPBSUD: c[m][n] = c[m][n] + Σ over k in 0 … 63 of a[m][k] · b[k / 4][4n + k % 4], a signed
// bytes, b unsigned bytes, c 32-bit integers that wrap.
namespace megascale {

// The emulation: the same numbers in plain C++, slowly. For tests on machines without tiles.
struct EmulatedTileUnit {
  static void Configure() {}
  static void Release() {}
  template <int Tile>
  static void Zero() {
    ZeroTile(Tile);
  }
  template <int Tile>
  static void Load(const void* from, std::size_t stride) {
    LoadTile(Tile, from, stride);
  }
  template <int Tile>
  static void Store(void* to, std::size_t stride) {
    StoreTile(Tile, to, stride);
  }
  template <int C, int A, int B>
  static void MultiplyAdd() {
    MultiplyAddTiles(C, A, B);
  }
  template <int C, int A, int B>
  static void MultiplyAddInt8() {
    MultiplyAddInt8Tiles(C, A, B);
  }
  static void Prefetch(const void*) {}

 private:
  static void ZeroTile(int tile);
  static void LoadTile(int tile, const void* from, std::size_t stride);
  static void StoreTile(int tile, void* to, std::size_t stride);
  static void MultiplyAddTiles(int c, int a, int b);
  static void MultiplyAddInt8Tiles(int c, int a, int b);
};

}  // namespace megascale
