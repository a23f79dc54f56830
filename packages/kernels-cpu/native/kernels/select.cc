#include "kernels/select.hpp"

#include "kernels/multiplies_agree.hpp"
#include "runtime/cpu_features.hpp"
#include "runtime/failure.hpp"

namespace megascale {
namespace {

#if defined(MEGASCALE_HAS_AVX512BF16)
// AVX-512 with products of bf16 pairs. Where there are tiles it is not the base: there VDPBF16PS
// has half the rate of FMA.
KernelTable WithBf16Pairs() {
  KernelTable table = kAvx512Kernels;
  table.isa = "avx512bf16";
  table.attention = kBf16PairsAttention;
  return table;
}
#endif

// Everything around the multiply of tiles: the best vectors there are.
KernelTable WithTiles(const char* isa, const KernelTable& base, const GemmKernels& gemm) {
  KernelTable table = base;
  table.isa = isa;
  table.gemm[0] = gemm;
  return table;
}

const KernelTable& BestVectors() {
#if defined(MEGASCALE_HAS_AVX512)
  if (DetectCpu().avx512) return kAvx512Kernels;
#endif
#if defined(MEGASCALE_HAS_AVX2)
  if (DetectCpu().avx2) return kAvx2Kernels;
#endif
#if defined(MEGASCALE_HAS_NEON)
  return kNeonKernels;
#else
  return kScalarKernels;
#endif
}

#if defined(MEGASCALE_HAS_AMX)
// The tile instructions have to prove themselves on this machine, once, before they are chosen.
bool TilesWork() {
  static const bool work = DetectCpu().amx && MultipliesAgree(kAmxGemm, kEmulatedTileGemm);
  return work;
}
#endif

// The table (kernel, instruction set) → function, best first: what is compiled in and what the
// machine has.
std::vector<KernelTable> AvailableTables() {
  std::vector<KernelTable> tables;
#if defined(MEGASCALE_HAS_AMX)
  if (TilesWork()) tables.push_back(WithTiles("amx", BestVectors(), kAmxGemm));
#endif
#if defined(MEGASCALE_HAS_AVX512BF16)
  if (DetectCpu().avx512bf16) tables.push_back(WithBf16Pairs());
#endif
#if defined(MEGASCALE_HAS_AVX512)
  if (DetectCpu().avx512) tables.push_back(kAvx512Kernels);
#endif
#if defined(MEGASCALE_HAS_AVX2)
  if (DetectCpu().avx2) tables.push_back(kAvx2Kernels);
#endif
#if defined(MEGASCALE_HAS_NEON)
  tables.push_back(kNeonKernels);
#endif
  tables.push_back(kScalarKernels);
  return tables;
}

}  // namespace

std::vector<std::string> AvailableIsas() {
  std::vector<std::string> names;
  for (const KernelTable& table : AvailableTables()) names.emplace_back(table.isa);
  return names;
}

KernelTable SelectKernels(const std::string& isa) {
  if (isa == "amx-emulated") {
    if (!MultipliesAgree(kEmulatedTileGemm, kScalarKernels.gemm[0])) {
      throw Failure("ERR_DEVICE", "The emulated tiles multiply wrongly: this build is broken.");
    }
    return WithTiles("amx-emulated", BestVectors(), kEmulatedTileGemm);
  }
  std::string known;
  for (const KernelTable& table : AvailableTables()) {
    if (isa.empty() || isa == table.isa) return table;
    known += (known.empty() ? "" : ", ") + std::string(table.isa);
  }
  throw Failure("ERR_BACKEND_UNAVAILABLE", "This machine cannot run the instruction set '" + isa +
                                               "'. Available, best first: " + known +
                                               ". Choose one of them, or leave `isa` out.");
}

}  // namespace megascale
