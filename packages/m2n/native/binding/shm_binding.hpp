#pragma once

#include <napi.h>

namespace megascale::m2n {

// Adds the functions of src/binding.ts to `exports`; nothing on other systems than Linux.
void DefineShm(Napi::Env env, Napi::Object exports);

}  // namespace megascale::m2n
