#include "weights/copy_files.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "runtime/checkpoint_file.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/mapped_bytes.hpp"

namespace megascale {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{2} << 20;

struct Piece {
  const std::uint8_t* from;
  std::size_t at, bytes;
};

}  // namespace

std::size_t CopyFiles(const std::vector<std::string>& paths, ThreadPool& pool) {
  std::vector<std::unique_ptr<MappedBytes>> maps;
  std::vector<Piece> pieces;
  std::size_t total = 0;
  for (const std::string& path : paths) {
    const auto bytes = static_cast<std::size_t>(CheckpointFile(path).size());
    maps.push_back(std::make_unique<MappedBytes>(path, 0, bytes));
    for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
      pieces.push_back({maps.back()->data() + at, total + at, std::min(kPieceBytes, bytes - at)});
    }
    total += bytes;
  }
  const HostMemory copy(total, HostMemory::Pages::kHuge, "a copy of the files");
  std::atomic<std::size_t> next{0};
  pool.Run([&](int, int) {
    for (std::size_t i = next++; i < pieces.size(); i = next++) {
      std::memcpy(copy.as<char>() + pieces[i].at, pieces[i].from, pieces[i].bytes);
    }
  });
  return total;
}

}  // namespace megascale
