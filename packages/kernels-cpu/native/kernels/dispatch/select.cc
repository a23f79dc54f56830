#include "kernels/dispatch/select.hpp"

#include "kernels/dispatch/multiplies_agree.hpp"
#include "runtime/cpu_features.hpp"
#include "runtime/failure.hpp"

namespace megascale {
namespace {

KernelTable WithQuantized(const KernelTable& base, const QuantizedKernels& quantized) {
  KernelTable table = base;
  table.gemm[static_cast<std::size_t>(WeightFormat::kInt8)] = quantized.int8;
  table.gemm[static_cast<std::size_t>(WeightFormat::kInt4)] = quantized.int4;
  return table;
}

// Everything around the multiply of tiles: the best vectors there are.
KernelTable WithTiles(const char* isa, const KernelTable& base, const GemmKernels& gemm) {
  KernelTable table = base;
  table.isa = isa;
  table.gemm[0] = gemm;
  return table;
}

#if defined(MEGASCALE_HAS_AVX512)
KernelTable Avx512Table() {
#if defined(MEGASCALE_HAS_AVX512VNNI)
  if (DetectCpu().avx512vnni) return WithQuantized(kAvx512Kernels, kAvx512VnniQuantized);
#endif
  return WithQuantized(kAvx512Kernels, kAvx512Quantized);
}
#endif

#if defined(MEGASCALE_HAS_AVX512BF16)
// AVX-512 with products of bf16 pairs. Where there are tiles it is not the base: there VDPBF16PS
// has half the rate of FMA.
KernelTable WithBf16Pairs() {
  KernelTable table = Avx512Table();
  table.isa = "avx512bf16";
  table.gemm[0] = kBf16PairsGemm;
  table.attention = kBf16PairsAttention;
  return table;
}

bool Bf16PairsWork() {
  static const bool work =
      DetectCpu().avx512bf16 && MultipliesAgree(kBf16PairsGemm, kScalarKernels.gemm[0]);
  return work;
}
#endif

KernelTable BestVectors() {
#if defined(MEGASCALE_HAS_AVX512)
  if (DetectCpu().avx512) return Avx512Table();
#endif
#if defined(MEGASCALE_HAS_AVX2)
  if (DetectCpu().avx2) return WithQuantized(kAvx2Kernels, kAvx2Quantized);
#endif
#if defined(MEGASCALE_HAS_NEON)
  return WithQuantized(kNeonKernels, kScalarQuantized);
#else
  return WithQuantized(kScalarKernels, kScalarQuantized);
#endif
}

#if defined(MEGASCALE_HAS_AMX)
// The tile instructions have to prove themselves on this machine, once, before they are chosen.
bool TilesWork() {
  static const bool work = DetectCpu().amx && MultipliesAgree(kAmxGemm, kEmulatedTileGemm);
  return work;
}

// Without TDPBSUD, or if it should fail, the vectors multiply quantized weights.
KernelTable AmxTable() {
  static const bool int8_works =
      DetectCpu().amx_int8 && MultipliesAgree(kAmxQuantized, kEmulatedTileQuantized);
  const KernelTable table = WithTiles("amx", BestVectors(), kAmxGemm);
  return int8_works ? WithQuantized(table, kAmxQuantized) : table;
}
#endif

// The table (kernel, instruction set) → function, best first: what is compiled in and what the
// machine has.
std::vector<KernelTable> AvailableTables() {
  std::vector<KernelTable> tables;
#if defined(MEGASCALE_HAS_AMX)
  if (TilesWork()) tables.push_back(AmxTable());
#endif
#if defined(MEGASCALE_HAS_AVX512BF16)
  const bool pairs = Bf16PairsWork(), pairs_first = DetectCpu().fast_bf16_pairs;
  if (pairs && pairs_first) tables.push_back(WithBf16Pairs());
#endif
#if defined(MEGASCALE_HAS_AVX512)
  if (DetectCpu().avx512) tables.push_back(Avx512Table());
#endif
#if defined(MEGASCALE_HAS_AVX512BF16)
  if (pairs && !pairs_first) tables.push_back(WithBf16Pairs());
#endif
#if defined(MEGASCALE_HAS_AVX2)
  if (DetectCpu().avx2) tables.push_back(WithQuantized(kAvx2Kernels, kAvx2Quantized));
#endif
#if defined(MEGASCALE_HAS_NEON)
  tables.push_back(WithQuantized(kNeonKernels, kScalarQuantized));
#endif
  tables.push_back(WithQuantized(kScalarKernels, kScalarQuantized));
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
    if (!MultipliesAgree(kEmulatedTileGemm, kScalarKernels.gemm[0]) ||
        !MultipliesAgree(kEmulatedTileQuantized, kScalarQuantized)) {
      throw Failure("ERR_DEVICE", "The emulated tiles multiply wrongly: this build is broken.");
    }
    return WithQuantized(WithTiles("amx-emulated", BestVectors(), kEmulatedTileGemm),
                         kEmulatedTileQuantized);
  }
#if defined(MEGASCALE_HAS_AVX512)
  // As `avx512` is on processors without VNNI; for tests, and for comparisons.
  if (isa == "avx512-without-vnni" && DetectCpu().avx512) {
    KernelTable table = WithQuantized(kAvx512Kernels, kAvx512Quantized);
    table.isa = "avx512-without-vnni";
    return table;
  }
#endif
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
