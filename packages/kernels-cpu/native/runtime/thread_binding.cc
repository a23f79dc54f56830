#include "runtime/thread_binding.hpp"

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace megascale {

void BindThread([[maybe_unused]] int core) {
#if defined(__linux__)
  // The first thread of the process is never bound: its set is what the process may use.
  cpu_set_t allowed;
  if (sched_getaffinity(getpid(), sizeof allowed, &allowed) != 0) return;
  const int count = CPU_COUNT(&allowed);
  if (count == 0 || core < 0) return;
  int left = core % count;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // A system that forbids it leaves the thread where it is.
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
#endif
}

}  // namespace megascale
