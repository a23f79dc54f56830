#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "shm/page_wishes.hpp"

namespace megascale::m2n {

// Memory shared between processes. It has no name in any file system: it lives as long as someone
// has it mapped or holds its descriptor, so whatever dies, nothing stays behind.
//
// Owner: CreateSegment. Peers: OpenSegment by the owner's process id and descriptor number, while
// the owner keeps the descriptor open. Both get a mapping that UnmapSegment ends; mappings are
// independent. Every page of a mapping is there when it is made: no first use waits for one.
struct Segment {
  void* data = nullptr;
  std::size_t byte_length = 0;
  std::size_t mapped_length = 0;  // Whole pages, which may be huge.
  int fd = -1;                    // -1 in peers: they close it once mapped.
};

// Throws std::system_error. The size is sealed: no process can shrink the memory under a reader.
Segment CreateSegment(std::size_t byte_length, const PageWishes& wishes = {});

// Throws std::system_error, or std::runtime_error when the descriptor is not a sealed segment of
// this length.
Segment OpenSegment(std::int32_t process_id, std::int32_t fd, std::size_t byte_length);

void UnmapSegment(const Segment& segment) noexcept;
void CloseSegmentDescriptor(int fd) noexcept;

}  // namespace megascale::m2n
