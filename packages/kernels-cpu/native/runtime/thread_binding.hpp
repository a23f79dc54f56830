#pragma once

namespace megascale {

// Keeps the calling thread on one core: the `core`-th of those that the process may use, counted
// from 0, beginning again past the last. Where the system has no such call, does nothing.
void BindThread(int core);

}  // namespace megascale
