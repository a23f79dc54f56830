#include "runtime/cpu_features.hpp"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__) || defined(__APPLE__)
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#endif

namespace megascale {
namespace {

#if defined(__x86_64__)

// All of the flags of CPUID leaf 7, register EDX.
bool HasFlags(unsigned flags) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & flags) == flags;
}

constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;

// Tile registers are 8 KiB of extra state per thread, so Linux hands them out on request, once per
// process.
bool RequestTilePermission() {
#if defined(__linux__)
  constexpr long kArchRequestPermission = 0x1023, kTileDataFeature = 18;
  return syscall(SYS_arch_prctl, kArchRequestPermission, kTileDataFeature) == 0;
#else
  return false;
#endif
}

CpuFeatures Detect() {
  __builtin_cpu_init();
  CpuFeatures found;
  found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq");
  found.avx512bf16 = found.avx512 && __builtin_cpu_supports("avx512bf16");
  found.fast_bf16_pairs = found.avx512bf16 && !__builtin_cpu_is("intel");
  found.avx512vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
  found.amx = found.avx512 && HasFlags(kAmxBf16 | kAmxTile) && RequestTilePermission();
  found.amx_int8 = found.amx && HasFlags(kAmxInt8);
  return found;
}

#else

CpuFeatures Detect() { return {}; }

#endif

}  // namespace

const CpuFeatures& DetectCpu() {
  static const CpuFeatures features = Detect();
  return features;
}

std::size_t SecondLevelCacheBytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return static_cast<std::size_t>(bytes);
#endif
  return std::size_t{1} << 20;
}

std::string CpuName() {
#if defined(__x86_64__)
  unsigned words[12] = {};
  for (unsigned leaf = 0; leaf < 3; ++leaf) {
    unsigned* at = words + leaf * 4;
    if (__get_cpuid(0x80000002u + leaf, at, at + 1, at + 2, at + 3) == 0) return "x86-64 CPU";
  }
  char text[sizeof words + 1] = {};
  std::memcpy(text, words, sizeof words);
  std::string name = text;
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return name.empty() ? "x86-64 CPU" : name;
#else
  return "CPU";
#endif
}

}  // namespace megascale
