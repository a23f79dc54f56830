#include "binding/tcp_binding.hpp"

#if defined(__linux__)

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "binding/values.hpp"
#include "tcp/engine.hpp"

namespace megascale::m2n {
namespace {

std::int32_t WordOf(const Napi::Object& object, const char* field) {
  return static_cast<std::int32_t>(IntegerOf(object, field));
}

// TcpPortSetup of src/tcp-binding.ts
PortSetup SetupOf(const Napi::Object& setup) {
  PortSetup port;
  port.is_attention = setup.Get("isAttention").ToBoolean();
  port.rank = WordOf(setup, "rank");
  port.shape = ShapeOf(setup.Get("shape").ToObject());
  port.layout_hash = WordOf(setup, "layoutHash");
  port.nonce = {WordOf(setup, "nonceLow"), WordOf(setup, "nonceHigh")};
  port.is_authenticated = setup.Get("isAuthenticated").ToBoolean();
  port.combines_at_experts = setup.Get("combinesAtExperts").ToBoolean();
  port.silence_us = IntegerOf(setup, "silenceUs");
  port.handshake_us = IntegerOf(setup, "handshakeUs");
  port.listen = {TextOf(setup, "host"), WordOf(setup, "port")};
  port.socket = {.busy_poll_us = WordOf(setup, "busyPollUs"),
                 .traffic_class = WordOf(setup, "trafficClass"),
                 .congestion_control = TextOf(setup, "congestionControl"),
                 .silence_us = port.silence_us};
  return port;
}

// TcpPeerSetup of src/tcp-binding.ts
PeerSetup PeerOf(const Napi::Object& setup) {
  PeerSetup peer;
  peer.rank = WordOf(setup, "rank");
  peer.nonce = {WordOf(setup, "nonceLow"), WordOf(setup, "nonceHigh")};
  peer.endpoint = {TextOf(setup, "host"), WordOf(setup, "port")};
  const Napi::Value keys = setup.Get("keys");
  if (keys.IsUndefined()) return peer;
  peer.keys.emplace();
  constexpr std::size_t kKeyBytes = sizeof(Key);
  if (!keys.IsTypedArray() || keys.As<Napi::TypedArray>().ByteLength() != 2 * kKeyBytes ||
      keys.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(setup.Env(), "Expected keys to be 64 bytes");
  }
  const auto bytes = keys.As<Napi::Uint8Array>();
  std::copy_n(bytes.Data(), kKeyBytes, peer.keys->attention_to_expert.data());
  std::copy_n(bytes.Data() + kKeyBytes, kKeyBytes, peer.keys->expert_to_attention.data());
  return peer;
}

// The memory lives as long as JavaScript or a link uses it.
Napi::ArrayBuffer Wrap(Napi::Env env, std::shared_ptr<AnonymousMemory> memory) {
  auto* held = new std::shared_ptr<AnonymousMemory>(std::move(memory));
  return Napi::ArrayBuffer::New(env, (*held)->bytes(), (*held)->byte_length(),
                                [held](Napi::Env, void*) { delete held; });
}

const char* CodeOf(Loss::Code code) {
  switch (code) {
    case Loss::Code::kFrameInvalid:
      return "ERR_FRAME_INVALID";
    case Loss::Code::kProtocolVersion:
      return "ERR_PROTOCOL_VERSION";
    default:
      return "ERR_PEER_CLOSED";
  }
}

// TcpEngine of src/tcp-binding.ts
class TcpEngine : public Napi::ObjectWrap<TcpEngine> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "TcpEngine",
        {InstanceMethod<&TcpEngine::OwnBuffer>("ownBuffer"),
         InstanceMethod<&TcpEngine::BoundPort>("boundPort"),
         InstanceMethod<&TcpEngine::AddPeer>("addPeer"),
         InstanceMethod<&TcpEngine::LossOf>("lossOf"),
         InstanceMethod<&TcpEngine::StopListening>("stopListening"),
         InstanceMethod<&TcpEngine::Wait>("wait"), InstanceMethod<&TcpEngine::Wake>("wake"),
         InstanceMethod<&TcpEngine::BeginClosing>("beginClosing"),
         InstanceMethod<&TcpEngine::IsFinished>("isFinished"),
         InstanceMethod<&TcpEngine::Abort>("abort"),
         InstanceMethod<&TcpEngine::RefusedCount>("refusedCount")});
  }

  explicit TcpEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TcpEngine>(info) {
    const PortSetup setup = SetupOf(ObjectAt(info, 0));
    Guarded(info.Env(), [&] { engine_ = std::make_unique<Engine>(setup); });
  }

 private:
  Napi::Value OwnBuffer(const Napi::CallbackInfo& info) { return Wrap(info.Env(), engine_->own()); }

  Napi::Value BoundPort(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), engine_->bound().port);
  }

  Napi::Value AddPeer(const Napi::CallbackInfo& info) {
    const PeerSetup peer = PeerOf(ObjectAt(info, 0));
    return Guarded(info.Env(), [&] { return Wrap(info.Env(), engine_->AddPeer(peer)); });
  }

  Napi::Value LossOf(const Napi::CallbackInfo& info) {
    const Loss loss = engine_->LossOf(RankAt(info));
    auto result = Napi::Object::New(info.Env());
    result.Set("code", CodeOf(loss.code));
    result.Set("why", loss.why);
    return result;
  }

  void StopListening(const Napi::CallbackInfo&) { engine_->StopListening(); }

  // wait(seen, spinUs, timeoutUs, spinYields)
  void Wait(const Napi::CallbackInfo& info) {
    const DoorbellWait wait{.seen = static_cast<std::int32_t>(IntegerAt(info, 0, "seen")),
                            .spin_microseconds = IntegerAt(info, 1, "spinUs"),
                            .spin_yields = info[3].ToBoolean(),
                            .timeout_microseconds = IntegerAt(info, 2, "timeoutUs")};
    Guarded(info.Env(), [&] { engine_->Wait(wait); });
  }

  void Wake(const Napi::CallbackInfo& info) {
    const std::int32_t rank = RankAt(info);
    Guarded(info.Env(), [&] { engine_->Wake(rank); });
  }

  void BeginClosing(const Napi::CallbackInfo&) { engine_->BeginClosing(); }

  Napi::Value IsFinished(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), engine_->IsFinished());
  }

  void Abort(const Napi::CallbackInfo&) { engine_->Abort(); }

  Napi::Value RefusedCount(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(engine_->RefusedCount()));
  }

  static std::int32_t RankAt(const Napi::CallbackInfo& info) {
    return static_cast<std::int32_t>(IntegerAt(info, 0, "rank"));
  }

  std::unique_ptr<Engine> engine_;
};

// authenticationIsMissing() → the symbol that this program lacks, or undefined
Napi::Value Missing(const Napi::CallbackInfo& info) {
  const auto missing = AuthenticationIsMissing();
  if (!missing) return info.Env().Undefined();
  return Napi::String::New(info.Env(), *missing);
}

}  // namespace

void DefineTcp(Napi::Env env, Napi::Object exports) {
  exports.Set("TcpEngine", TcpEngine::Define(env));
  exports.Set("authenticationIsMissing",
              Napi::Function::New(env, Missing, "authenticationIsMissing"));
}

}  // namespace megascale::m2n

#else

namespace megascale::m2n {

void DefineTcp(Napi::Env, Napi::Object) {}

}  // namespace megascale::m2n

#endif  // __linux__
