#include <napi.h>

#include "binding/combine_binding.hpp"
#include "binding/fabric_binding.hpp"
#include "binding/protocol_binding.hpp"
#include "binding/shm_binding.hpp"
#include "binding/tcp_binding.hpp"

namespace {

Napi::Value Version(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), MEGASCALE_VERSION);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New(env, Version, "version"));
  megascale::m2n::DefineCombine(env, exports);
  megascale::m2n::DefineProtocol(env, exports);
  megascale::m2n::DefineShm(env, exports);
  megascale::m2n::DefineTcp(env, exports);
  megascale::m2n::DefineFabric(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(m2n, Init)
