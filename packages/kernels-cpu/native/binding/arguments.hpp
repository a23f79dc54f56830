#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "program/micro_batch.hpp"
#include "runtime/failure.hpp"
#include "runtime/host_memory.hpp"
#include "weights/tensor_source.hpp"

// What crosses the border and how. Arguments are written by this package's own TypeScript, so a
// wrong type here is a bug, and throws; ranges are checked behind, by the stages.
namespace megascale {

// Runs `action`; a Failure becomes a JavaScript error with its `code`.
template <class Action>
auto Guarded(Napi::Env env, const Action& action) {
  const auto error = [env](const char* code, const char* message) {
    Napi::Error result = Napi::Error::New(env, message);
    result.Set("code", Napi::String::New(env, code));
    return result;
  };
  try {
    return action();
  } catch (const Failure& failure) {
    throw error(failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    throw error("ERR_OUT_OF_MEMORY", "The system refused memory. Use smaller sizes.");
  }
}

// The number in property `name`, a count or an index ≥ 0.
std::size_t ReadSize(const Napi::Object& from, const char* name);
std::vector<double> ReadDoubles(const Napi::Value& value);
std::vector<std::size_t> ReadSizes(const Napi::Value& value);
std::vector<std::vector<std::size_t>> ReadSizeLists(const Napi::Value& value);
// A whole number; the stages check its range.
std::int64_t ReadWhole(const Napi::Value& value, const char* name);
// Borrowed for the length of the call.
Int32View ReadInt32s(const Napi::Value& value, const char* name);
TensorSource ReadTensor(const Napi::Value& value);
std::vector<TensorSource> ReadTensors(const Napi::Value& value);
std::vector<MatrixSource> ReadMatrices(const Napi::Value& value);

// An ArrayBuffer over native memory. The memory lives until both its owner and JavaScript have let
// go of it, so a late read is harmless.
Napi::ArrayBuffer ShareMemory(Napi::Env env, std::shared_ptr<HostMemory> memory);

// Bytes of a bound region; `keep` holds the array for as long as native code may touch the bytes.
struct BoundBytes {
  std::uint8_t* data;
  std::size_t bytes;
};
BoundBytes BindBytes(const Napi::Value& value, std::vector<Napi::ObjectReference>& keep);

}  // namespace megascale
