#pragma once

#include <napi.h>

namespace megascale::m2n {

// Adds `fabricTrouble` and, where libfabric's headers were found, `FabricPort` of
// src/fabric-binding.ts to `exports`.
void DefineFabric(Napi::Env env, Napi::Object exports);

}  // namespace megascale::m2n
