#pragma once

#include <cstdint>

namespace megascale::m2n {

// A thread by its ids and its start time: ids are used again by the kernel, the three together are
// not.
struct ThreadIdentity {
  std::int32_t process_id = 0;
  std::int32_t thread_id = 0;
  std::int64_t start_ticks = 0;  // Clock ticks after boot, /proc/<pid>/task/<tid>/stat field 22.
};

// The calling thread.
ThreadIdentity CurrentThread();

// False once the thread has ended, even if its process was not waited for yet. Allocates nothing.
bool IsAlive(const ThreadIdentity& thread);

// True from the end of a process until its parent took note of that: so long it keeps its id.
bool IsZombie(std::int32_t process_id);

}  // namespace megascale::m2n
