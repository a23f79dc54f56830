#pragma once

#include <napi.h>

namespace megascale::m2n {

// What TypeScript and C++ each compute of the protocol, for a test that holds them equal, and the
// count of allocations, for a test that holds it still.
void DefineProtocol(Napi::Env env, Napi::Object exports);

}  // namespace megascale::m2n
