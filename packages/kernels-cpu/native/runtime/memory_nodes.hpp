#pragma once

#include <cstddef>
#include <string>

namespace megascale {

// The nodes that a list of the system names, "0-1,4": bit n for node n; nodes from 64 on are left
// out, and so is what cannot be read.
unsigned long ParseNodes(const std::string& list);

// Where the system has several memory nodes, spreads the pages over all of them in turn: every
// thread reads all weights, so no node's memory should serve them alone. Does nothing where the
// user has chosen a policy for the process (numactl), or the system knows none. Before the first
// touch.
void SpreadOverNodes(void* pages, std::size_t bytes);

}  // namespace megascale
