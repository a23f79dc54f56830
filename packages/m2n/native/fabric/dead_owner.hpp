#pragma once

#include <cstdint>
#include <vector>

// Processes that own an endpoint of libfabric's provider shm, found by the endpoint's name, which
// comes from outside.
namespace megascale::m2n::fabric {

// 0 for endpoints of other providers.
std::int32_t OwnerOf(const std::vector<std::uint8_t>& name);
// False once the process is gone. True for 0.
bool OwnerLives(std::int32_t owner);

// The provider keeps an endpoint's memory in a named file that a killed owner leaves behind:
// removes it if the owner's process has ended, whether its parent took note of that or not. False
// while the file is there and its owner lives.
bool RemoveMemoryOfDeadOwner(const std::vector<std::uint8_t>& name);

// The provider guards an endpoint's memory by a lock that stays taken where its holder was killed,
// and the next thread that takes it spins for ever. Frees it, if it is taken and the memory is laid
// out as that of libfabric 1.17 is; else does nothing.
void FreeLockOf(const std::vector<std::uint8_t>& name);

}  // namespace megascale::m2n::fabric
