#pragma once

#include <cstddef>
#include <string>

namespace megascale {

// What this machine and its operating system let a process run.
struct CpuFeatures {
  bool avx2 = false;        // AVX2 and FMA
  bool avx512 = false;      // F, BW, VL, DQ
  bool avx512bf16 = false;  // VDPBF16PS beside them
  // VDPBF16PS does more multiply-adds in a cycle than FMA. On Intel's cores so far it does half as
  // many, on AMD's twice as many.
  bool fast_bf16_pairs = false;
  bool avx512vnni = false;  // and VPDPBUSD
  bool amx = false;         // tiles and TDPBF16PS, granted by the kernel
  bool amx_int8 = false;    // and TDPBSUD
};

// Asks once per process; on Linux this is also where the permission to use tiles is requested.
const CpuFeatures& DetectCpu();

// Of one core, as the system says; 1 MiB where it does not.
std::size_t SecondLevelCacheBytes();

// For people: 'AMD EPYC'.
std::string CpuName();

}  // namespace megascale
