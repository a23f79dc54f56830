#include <napi.h>

#include "binding/arguments.hpp"
#include "binding/handles.hpp"
#include "kernels/dispatch/select.hpp"
#include "runtime/cpu_features.hpp"
#include "runtime/op_profile.hpp"
#include "weights/copy_files.hpp"

namespace {

using namespace megascale;

// availableIsas() → string[], best first
Napi::Value AvailableIsaNames(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const std::string& isa : AvailableIsas()) {
    names.Set(names.Length(), Napi::String::New(info.Env(), isa));
  }
  return names;
}

// cpuName() → string
Napi::Value Name(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), CpuName());
}

// profiledOps: string[], the kinds of op in the order of opTotals
Napi::Array ProfiledOpNames(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env);
  for (const char* name : kProfiledOpNames) names.Set(names.Length(), Napi::String::New(env, name));
  return names;
}

// copyFiles(backend, paths) → bytes
Napi::Value Copy(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    std::vector<std::string> paths;
    const auto array = info[1].As<Napi::Array>();
    for (std::uint32_t i = 0; i < array.Length(); ++i) {
      paths.push_back(array.Get(i).As<Napi::String>());
    }
    const std::size_t bytes = CopyFiles(paths, *BackendHandle::From(info[0]).pool());
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::String::New(env, MEGASCALE_VERSION));
  exports.Set("availableIsas", Napi::Function::New(env, AvailableIsaNames, "availableIsas"));
  exports.Set("cpuName", Napi::Function::New(env, Name, "cpuName"));
  exports.Set("profiledOps", ProfiledOpNames(env));
  exports.Set("copyFiles", Napi::Function::New(env, Copy, "copyFiles"));
  exports.Set("Backend", BackendHandle::Define(env));
  exports.Set("AttentionStage", AttentionStageHandle::Define(env));
  exports.Set("ExpertStage", ExpertStageHandle::Define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(kernels_cpu, Init)
