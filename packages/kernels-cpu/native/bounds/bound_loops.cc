#include "bounds/bound_loops.hpp"

#include <string_view>

#include "runtime/cpu_features.hpp"

namespace megascale {
namespace {

// The widest loads of this machine; they do not depend on the multiply.
[[maybe_unused]] BoundLoops ReadingAs(const BoundLoops& reader, BoundLoops loops) {
  loops.read = reader.read;
  return loops;
}

}  // namespace

const BoundLoops& BoundLoopsFor([[maybe_unused]] const char* isa) {
#if defined(MEGASCALE_HAS_AVX512)
#if defined(MEGASCALE_HAS_AMX)
  static const BoundLoops amx = ReadingAs(kAvx512Bounds, kAmxBounds);
  if (isa == std::string_view("amx")) return amx;
#endif
#if defined(MEGASCALE_HAS_AVX512BF16)
  static const BoundLoops bf16 = ReadingAs(kAvx512Bounds, kAvx512Bf16Bounds);
  if (isa == std::string_view("avx512bf16")) return bf16;
#endif
  if (isa == std::string_view("avx512")) return kAvx512Bounds;
#endif
#if defined(MEGASCALE_HAS_AVX2)
  if (isa == std::string_view("avx2")) return kAvx2Bounds;
#endif
  return kScalarBounds;
}

}  // namespace megascale
