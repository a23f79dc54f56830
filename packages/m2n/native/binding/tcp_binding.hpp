#pragma once

#include <napi.h>

namespace megascale::m2n {

// Adds the class of src/tcp-binding.ts to `exports`; nothing on other systems than Linux.
void DefineTcp(Napi::Env env, Napi::Object exports);

}  // namespace megascale::m2n
