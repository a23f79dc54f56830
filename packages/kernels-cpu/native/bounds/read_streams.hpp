#pragma once

#include <immintrin.h>

#include "bounds/bound_loops.hpp"

// `BoundLoops::read` for vectors of an instruction set:
//   Word                  what is gathered: as many bits as a load has
//   Zero()
//   Gather(word, line)    word xor the line's 64 bytes
//   Join(word, word) Fold(word)
// W is a type of the including file alone, so that no other file shares the code.
namespace megascale {

template <class W, int Streams>
std::uint64_t ReadStreams(const std::uint8_t* data, std::size_t bytes) {
  constexpr std::size_t kAhead = 1024, kLine = 64;
  const std::size_t part = bytes / Streams;
  typename W::Word seen[Streams];
  for (int s = 0; s < Streams; ++s) seen[s] = W::Zero();
  for (std::size_t at = 0; at < part; at += kLine) {
#pragma GCC unroll 8
    for (int s = 0; s < Streams; ++s) {
      const std::uint8_t* line = data + static_cast<std::size_t>(s) * part + at;
      _mm_prefetch(reinterpret_cast<const char*>(line + kAhead), _MM_HINT_T0);
      seen[s] = W::Gather(seen[s], line);
    }
  }
  for (int s = 1; s < Streams; ++s) seen[0] = W::Join(seen[0], seen[s]);
  return W::Fold(seen[0]);
}

template <class W>
std::uint64_t Read(const std::uint8_t* data, std::size_t bytes, int streams) {
  switch (streams) {
    case 1:
      return ReadStreams<W, 1>(data, bytes);
    case 2:
      return ReadStreams<W, 2>(data, bytes);
    case 4:
      return ReadStreams<W, 4>(data, bytes);
    default:
      return ReadStreams<W, 8>(data, bytes);
  }
}

}  // namespace megascale
