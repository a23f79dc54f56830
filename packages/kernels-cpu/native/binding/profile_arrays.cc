#include "binding/profile_arrays.hpp"

#include "binding/arguments.hpp"

namespace megascale {

Napi::Value OpTotalsArray(Napi::Env env, const OpProfile& profile) {
  Napi::Float64Array array = Napi::Float64Array::New(env, kProfiledOps * 5);
  double* out = array.Data();
  for (const OpTotals& total : profile.totals()) {
    *out++ = static_cast<double>(total.calls);
    *out++ = static_cast<double>(total.nanoseconds);
    *out++ = static_cast<double>(total.work.weight_bytes);
    *out++ = static_cast<double>(total.work.kv_bytes);
    *out++ = static_cast<double>(total.work.flops);
  }
  return array;
}

Napi::Value OpRecordsArray(Napi::Env env, const OpProfile& profile) {
  const std::size_t count = profile.record_count();
  Napi::Float64Array array = Napi::Float64Array::New(env, count * 8);
  double* out = array.Data();
  for (const OpRecord* record = profile.records(); record != profile.records() + count; ++record) {
    *out++ = static_cast<double>(record->op);
    *out++ = record->layer;
    *out++ = record->micro_batch;
    *out++ = static_cast<double>(record->start_ns);
    *out++ = static_cast<double>(record->end_ns);
    *out++ = static_cast<double>(record->work.weight_bytes);
    *out++ = static_cast<double>(record->work.kv_bytes);
    *out++ = static_cast<double>(record->work.flops);
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0u, array);
  result.Set(1u, Napi::Number::New(env, static_cast<double>(profile.records_lost())));
  return result;
}

void StartRecording(OpProfile& profile, const Napi::Value& capacity) {
  const std::int64_t count = ReadWhole(capacity, "capacity");
  profile.Record(count > 0 ? static_cast<std::size_t>(count) : 0);
}

Napi::Value MemoryBytesArray(Napi::Env env, std::size_t weight_bytes, std::size_t kv_bytes) {
  Napi::Array sizes = Napi::Array::New(env, 2);
  sizes.Set(0u, Napi::Number::New(env, static_cast<double>(weight_bytes)));
  sizes.Set(1u, Napi::Number::New(env, static_cast<double>(kv_bytes)));
  return sizes;
}

}  // namespace megascale
