#pragma once

#include <napi.h>

#include "runtime/op_profile.hpp"

namespace megascale {

// Float64Array: per kind of op (in the order of `profiledOps`) calls, nanoseconds, weight bytes, KV
// bytes, FLOPs.
Napi::Value OpTotalsArray(Napi::Env env, const OpProfile& profile);

// [Float64Array, lost]: per recorded op kind, layer, micro-batch, start and end in nanoseconds of
// the steady clock, weight bytes, KV bytes, FLOPs; and how many found no room.
Napi::Value OpRecordsArray(Napi::Env env, const OpProfile& profile);

// Keeps the next `capacity` ops, a whole number; none where it is not above 0.
void StartRecording(OpProfile& profile, const Napi::Value& capacity);

// [weight bytes, KV bytes] of a stage.
Napi::Value MemoryBytesArray(Napi::Env env, std::size_t weight_bytes, std::size_t kv_bytes);

}  // namespace megascale
