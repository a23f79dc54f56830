#include "runtime/available_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace megascale {
namespace {

// The number behind `key` in a file of "key number" lines; kMemoryUnknown if there is none.
std::uint64_t ReadField(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == key) return value;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kMemoryUnknown;
}

// A file that holds one number; kMemoryUnknown if it is missing or says 'max'.
std::uint64_t ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? value : kMemoryUnknown;
}

std::uint64_t LeftInCgroup() {
  const std::string folder = "/sys/fs/cgroup/";
  const std::uint64_t limit = ReadNumber(folder + "memory.max");
  const std::uint64_t used = ReadNumber(folder + "memory.current");
  const std::uint64_t cached = ReadField(folder + "memory.stat", "file");
  if (limit == kMemoryUnknown || used == kMemoryUnknown || cached == kMemoryUnknown) {
    return kMemoryUnknown;
  }
  const std::uint64_t held = used > cached ? used - cached : 0;
  return limit > held ? limit - held : 0;
}

}  // namespace

std::uint64_t AvailableMemory() {
  const std::uint64_t kibibytes = ReadField("/proc/meminfo", "MemAvailable:");
  const std::uint64_t machine = kibibytes == kMemoryUnknown ? kMemoryUnknown : kibibytes * 1024;
  return std::min(machine, LeftInCgroup());
}

}  // namespace megascale
