#pragma once

#include <cstddef>
#include <cstdint>

namespace megascale::m2n {

// How memory should be made. What the system does not grant is made as usual.
struct PageWishes {
  bool huge_pages = false;      // From the system's reserve.
  std::int32_t numa_node = -1;  // Preferred; -1 = where the first thread writes.
};

// Asks for the node of pages that are not there yet; whether it was granted, the system decides.
void PreferNode(void* data, std::size_t byte_length, std::int32_t numa_node) noexcept;

// Makes every page of the mapping present and writable. Throws std::system_error where there is not
// so much memory: better here than by a signal at some first use.
void MakePresent(void* data, std::size_t byte_length);

}  // namespace megascale::m2n
