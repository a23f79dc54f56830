#include "binding/shm_binding.hpp"

#if defined(__linux__)

#include <cstdint>
#include <stdexcept>
#include <string>

#include "binding/values.hpp"
#include "shm/doorbell.hpp"
#include "shm/segment.hpp"
#include "shm/thread_identity.hpp"

namespace megascale::m2n {
namespace {

// The address of word `index` of the Int32Array that is the first argument.
std::int32_t* WordAt(const Napi::CallbackInfo& info, std::size_t argument, const char* name) {
  const Napi::Value value = info[0];
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    throw Napi::TypeError::New(info.Env(), "Expected words to be an Int32Array");
  }
  auto words = value.As<Napi::Int32Array>();
  const std::int64_t index = IntegerAt(info, argument, name);
  if (index < 0 || static_cast<std::size_t>(index) >= words.ElementLength()) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " is outside the words");
  }
  return words.Data() + index;
}

// The mapping ends when JavaScript's last view of it is collected, never earlier: a late read of a
// view must not touch unmapped memory. Runs on the JavaScript thread that made the buffer.
Napi::ArrayBuffer WrapMapping(Napi::Env env, const Segment& segment) {
  return Napi::ArrayBuffer::New(env, segment.data, segment.byte_length,
                                [segment](Napi::Env, void*) { UnmapSegment(segment); });
}

// createSegment(byteLength, hugePages, numaNode) → { buffer, fd }
Napi::Value Create(const Napi::CallbackInfo& info) {
  const auto byte_length = static_cast<std::size_t>(IntegerAt(info, 0, "byteLength"));
  const PageWishes wishes{.huge_pages = info[1].ToBoolean(),
                          .numa_node = static_cast<std::int32_t>(IntegerAt(info, 2, "numaNode"))};
  return Guarded(info.Env(), [&] {
    const Segment segment = CreateSegment(byte_length, wishes);
    auto result = Napi::Object::New(info.Env());
    result.Set("buffer", WrapMapping(info.Env(), segment));
    result.Set("fd", Napi::Number::New(info.Env(), segment.fd));
    return result;
  });
}

// openSegment(processId, fd, byteLength) → ArrayBuffer
Napi::Value Open(const Napi::CallbackInfo& info) {
  const auto process_id = static_cast<std::int32_t>(IntegerAt(info, 0, "processId"));
  const auto fd = static_cast<std::int32_t>(IntegerAt(info, 1, "fd"));
  const auto byte_length = static_cast<std::size_t>(IntegerAt(info, 2, "byteLength"));
  return Guarded(info.Env(), [&]() -> Napi::Value {
    return WrapMapping(info.Env(), OpenSegment(process_id, fd, byte_length));
  });
}

// closeDescriptor(fd)
void CloseDescriptor(const Napi::CallbackInfo& info) {
  CloseSegmentDescriptor(static_cast<int>(IntegerAt(info, 0, "fd")));
}

// waitForRing(words, countIndex, parkedIndex, seen, spinUs, timeoutUs, spinYields)
void Wait(const Napi::CallbackInfo& info) {
  WaitForRing(WordAt(info, 1, "countIndex"), WordAt(info, 2, "parkedIndex"),
              DoorbellWait{.seen = static_cast<std::int32_t>(IntegerAt(info, 3, "seen")),
                           .spin_microseconds = IntegerAt(info, 4, "spinUs"),
                           .spin_yields = info[6].ToBoolean(),
                           .timeout_microseconds = IntegerAt(info, 5, "timeoutUs")});
}

// wake(words, countIndex)
void Wake(const Napi::CallbackInfo& info) { WakeParked(WordAt(info, 1, "countIndex")); }

// currentThread() → { processId, threadId, startTicks }
Napi::Value Current(const Napi::CallbackInfo& info) {
  const ThreadIdentity thread = CurrentThread();
  auto result = Napi::Object::New(info.Env());
  result.Set("processId", Napi::Number::New(info.Env(), thread.process_id));
  result.Set("threadId", Napi::Number::New(info.Env(), thread.thread_id));
  result.Set("startTicks", Napi::Number::New(info.Env(), static_cast<double>(thread.start_ticks)));
  return result;
}

// isAlive(processId, threadId, startTicks)
Napi::Value Alive(const Napi::CallbackInfo& info) {
  const ThreadIdentity thread{
      .process_id = static_cast<std::int32_t>(IntegerAt(info, 0, "processId")),
      .thread_id = static_cast<std::int32_t>(IntegerAt(info, 1, "threadId")),
      .start_ticks = IntegerAt(info, 2, "startTicks")};
  return Napi::Boolean::New(info.Env(), IsAlive(thread));
}

}  // namespace

void DefineShm(Napi::Env env, Napi::Object exports) {
  exports.Set("createSegment", Napi::Function::New(env, Create, "createSegment"));
  exports.Set("openSegment", Napi::Function::New(env, Open, "openSegment"));
  exports.Set("closeDescriptor", Napi::Function::New(env, CloseDescriptor, "closeDescriptor"));
  exports.Set("waitForRing", Napi::Function::New(env, Wait, "waitForRing"));
  exports.Set("wake", Napi::Function::New(env, Wake, "wake"));
  exports.Set("currentThread", Napi::Function::New(env, Current, "currentThread"));
  exports.Set("isAlive", Napi::Function::New(env, Alive, "isAlive"));
}

}  // namespace megascale::m2n

#else

namespace megascale::m2n {

void DefineShm(Napi::Env, Napi::Object) {}

}  // namespace megascale::m2n

#endif  // __linux__
