#include "variants.hpp"

#include <cmath>
#include <string>

#include "kernels/dispatch/select.hpp"
#include "kernels/dispatch/table.hpp"
#include "kernels/vector/vector_scalar.hpp"
#include "testing.hpp"

namespace megascale::testing {
namespace {

struct FusedVector : ScalarVector {
  static constexpr const char* kIsa = "fused reference";
  static F MultiplyAdd(const F& a, const F& b, const F& c) {
    return Map([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
  }
};

}  // namespace

const std::vector<KernelTable>& Variants() {
  static const std::vector<KernelTable> variants = [] {
    std::vector<KernelTable> tables;
    for (const std::string& isa : AvailableIsas()) {
      tables.push_back(SelectKernels(isa));
      if (isa == "avx512") tables.push_back(SelectKernels("avx512-without-vnni"));
    }
    tables.push_back(SelectKernels("amx-emulated"));
    return tables;
  }();
  return variants;
}

const KernelTable& Variant(const std::string& isa) {
  for (const KernelTable& table : Variants()) {
    if (isa == table.isa) return table;
  }
  throw TestFailure("this machine has no variant " + isa);
}

const KernelTable& FusedReference() {
  static const KernelTable table = [] {
    KernelTable made = MakeKernelTable<FusedVector>();
    // Quantized multiplies sum integers, and round after every step everywhere.
    for (std::size_t format = 1; format < kWeightFormats; ++format) {
      made.gemm[format] = Variant("scalar").gemm[format];
    }
    return made;
  }();
  return table;
}

bool IsFused(const KernelTable& table) {
  const std::string isa = table.isa;
  return isa == "avx2" || isa == "avx512" || isa == "avx512-without-vnni" || isa == "neon";
}

bool HasFusedVectors(const KernelTable& table) {
  // Tiles stand among the best vectors there are; only those of 'scalar' round twice.
  return table.rms_norm != Variant("scalar").rms_norm;
}

}  // namespace megascale::testing
