#include "kernels/gemm/gemm_tiles.hpp"
#include "kernels/gemm/tile_configuration.hpp"
#include "kernels/gemm/tile_unit.hpp"
#include "kernels/gemm_quantized/gemm_quantized_tiles.hpp"

// The tile unit of the hardware. NOT YET RUN ON A MACHINE WITH AMX: the code around it
// (gemm_tiles.hpp, gemm_quantized_tiles.hpp) is tested with the emulated unit, these instructions
// are only assembled.
namespace megascale {
namespace {

// Instructions are written out because GCC 12's intrinsics name too little memory: _tile_loadconfig
// reads 8 bytes of its 64, _tile_loadd has no memory clobber, and the compiler then drops or moves
// the stores before them. Every statement here has the clobber.
struct AmxTileUnit {
  static void Configure() { asm volatile("ldtilecfg %0" ::"m"(kTileConfiguration) : "memory"); }
  static void Release() { asm volatile("tilerelease" ::: "memory"); }
  template <int Tile>
  static void Zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(Tile) : "memory");
  }
  template <int Tile>
  static void Load(const void* from, std::size_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(Tile) : "memory");
  }
  template <int Tile>
  static void Store(void* to, std::size_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(Tile) : "memory");
  }
  template <int C, int A, int B>
  static void MultiplyAdd() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B) : "memory");
  }
  template <int C, int A, int B>
  static void MultiplyAddInt8() {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B) : "memory");
  }
  static void Prefetch(const void* at) { __builtin_prefetch(at, 0, 3); }
};

}  // namespace

extern const GemmKernels kAmxGemm = MakeTileGemm<AmxTileUnit>();
extern const QuantizedKernels kAmxQuantized = MakeQuantizedTileKernels<AmxTileUnit>();

}  // namespace megascale
