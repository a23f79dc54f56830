#include "binding/arguments.hpp"
#include "binding/handles.hpp"
#include "kernels/select.hpp"

namespace megascale {
namespace {

constexpr napi_type_tag kBackendTag = {0x6d65676173636163, 0x6370752d6261636b};

}  // namespace

Napi::Function BackendHandle::Define(Napi::Env env) {
  return DefineClass(env, "Backend",
                     {InstanceAccessor<&BackendHandle::Isa>("isa"),
                      InstanceMethod<&BackendHandle::Allocate>("allocate"),
                      InstanceMethod<&BackendHandle::Close>("close")});
}

BackendHandle::BackendHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<BackendHandle>(info) {
  Guarded(info.Env(), [&] {
    kernels_ = SelectKernels(info[1].As<Napi::String>());
    pool_ = std::make_shared<ThreadPool>(info[0].As<Napi::Number>().Int32Value());
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

void BackendHandle::Close(const Napi::CallbackInfo&) { pool_.reset(); }

}  // namespace megascale
