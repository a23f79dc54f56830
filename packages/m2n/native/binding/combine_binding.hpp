#pragma once

#include <napi.h>

namespace megascale::m2n {

// Adds `sumPartialRows` of src/binding.ts to `exports`.
void DefineCombine(Napi::Env env, Napi::Object exports);

}  // namespace megascale::m2n
