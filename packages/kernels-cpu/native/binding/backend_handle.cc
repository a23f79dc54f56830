#include "binding/arguments.hpp"
#include "binding/handles.hpp"
#include "bounds/machine_bounds.hpp"
#include "kernels/dispatch/select.hpp"

namespace megascale {
namespace {

constexpr napi_type_tag kBackendTag = {0x6d65676173636163, 0x6370752d6261636b};

}  // namespace

Napi::Function BackendHandle::Define(Napi::Env env) {
  return DefineClass(env, "Backend",
                     {InstanceAccessor<&BackendHandle::Isa>("isa"),
                      InstanceMethod<&BackendHandle::Allocate>("allocate"),
                      InstanceMethod<&BackendHandle::ReadBandwidth>("readBandwidth"),
                      InstanceMethod<&BackendHandle::MultiplyPeak>("multiplyPeak"),
                      InstanceMethod<&BackendHandle::ForkJoin>("forkJoin"),
                      InstanceMethod<&BackendHandle::CopyTime>("copyTime"),
                      InstanceMethod<&BackendHandle::Close>("close")});
}

BackendHandle::BackendHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BackendHandle>(info) {
  Guarded(info.Env(), [&] {
    kernels_ = SelectKernels(info[1].As<Napi::String>());
    const int threads = info[0].As<Napi::Number>().Int32Value();
    std::vector<int> cores;
    if (!info[2].IsUndefined()) {
      const Int32View given = ReadInt32s(info[2], "cores");
      if (given.size != static_cast<std::size_t>(threads)) {
        throw ShapeFailure("cores has " + std::to_string(given.size) + " entries, expected " +
                           std::to_string(threads) + ": one for each thread.");
      }
      cores.assign(given.data, given.data + given.size);
    }
    pool_ = std::make_shared<ThreadPool>(threads, std::move(cores));
  });
  info.This().As<Napi::Object>().TypeTag(&kBackendTag);
}

BackendHandle& BackendHandle::From(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kBackendTag)) {
    throw ShapeFailure("The first argument is not a Backend.");
  }
  BackendHandle& handle = *Unwrap(value.As<Napi::Object>());
  if (handle.pool_ == nullptr) throw Failure("ERR_DEVICE", "The backend is closed.");
  return handle;
}

Napi::Value BackendHandle::Isa(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), kernels_.isa);
}

Napi::Value BackendHandle::Allocate(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const double bytes = info[0].As<Napi::Number>().DoubleValue();
    return ShareMemory(info.Env(),
                       std::make_shared<HostMemory>(static_cast<std::size_t>(bytes),
                                                    HostMemory::Pages::kHuge, "a region"));
  });
}

ThreadPool& BackendHandle::Pool() {
  if (pool_ == nullptr) throw Failure("ERR_DEVICE", "The backend is closed.");
  return *pool_;
}

Napi::Value BackendHandle::ReadBandwidth(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const std::int64_t bytes = ReadWhole(info[0], "byteLength");
    const std::vector<ReadRate> rates =
        MeasureRead(Pool(), BoundLoopsFor(kernels_.isa), static_cast<std::size_t>(bytes));
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), rates.size() * 2);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      array[2 * i] = rates[i].streams;
      array[2 * i + 1] = rates[i].bytes_per_second;
    }
    return array;
  });
}

Napi::Value BackendHandle::MultiplyPeak(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const BoundLoops& loops = BoundLoopsFor(kernels_.isa);
    Napi::Array result = Napi::Array::New(info.Env(), 3);
    result.Set(0u, Napi::Number::New(info.Env(), MeasureGemm(Pool(), kernels_.gemm[0])));
    result.Set(1u, Napi::Number::New(info.Env(), MeasureInstruction(Pool(), loops)));
    result.Set(2u, Napi::String::New(info.Env(), loops.instruction));
    return result;
  });
}

Napi::Value BackendHandle::ForkJoin(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const ForkJoinTimes times = MeasureForkJoin(Pool());
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), 2);
    array[0] = times.spinning_us;
    array[1] = times.parked_us;
    return array;
  });
}

Napi::Value BackendHandle::CopyTime(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const std::int64_t bytes = ReadWhole(info[0], "byteLength");
    const CopyTimes times = MeasureCopy(Pool(), static_cast<std::size_t>(bytes));
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), 2);
    array[0] = times.fresh_us;
    array[1] = times.touched_us;
    return array;
  });
}

void BackendHandle::Close(const Napi::CallbackInfo&) { pool_.reset(); }

}  // namespace megascale
