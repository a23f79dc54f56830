#include "binding/fabric_binding.hpp"

#if defined(MEGASCALE_HAS_LIBFABRIC)

#include <charconv>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "binding/values.hpp"
#include "fabric/port.hpp"

namespace megascale::m2n {
namespace {

using fabric::Mapping;
using fabric::PeerPlace;
using fabric::Port;
using fabric::PortOptions;
using fabric::RemoteMemory;

bool IsTrue(const Napi::Object& object, const char* name) {
  return object.Get(name).ToBoolean().Value();
}

// 64 bits as hexadecimal digits: more than a number of JavaScript holds.
std::string Hexadecimal(std::uint64_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  return std::string(digits, end);
}

std::uint64_t Parse(const std::string& digits) {
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  if (error != std::errc() || stop != end) {
    throw std::runtime_error("its address holds no hexadecimal number");
  }
  return value;
}

Napi::Object ToObject(Napi::Env env, const RemoteMemory& memory) {
  auto object = Napi::Object::New(env);
  object.Set("base", Hexadecimal(memory.base));
  object.Set("key", Hexadecimal(memory.key));
  return object;
}

RemoteMemory ToMemory(const Napi::Object& parent, const char* name) {
  const Napi::Value value = parent.Get(name);
  if (!value.IsObject()) throw std::runtime_error(std::string("its address has no ") + name);
  const auto object = value.As<Napi::Object>();
  return {.base = Parse(TextOf(object, "base")), .key = Parse(TextOf(object, "key"))};
}

PortOptions OptionsOf(const Napi::Object& options) {
  return {.is_attention = IsTrue(options, "isAttention"),
          .rank = static_cast<std::uint32_t>(IntegerOf(options, "rank")),
          .shape = ShapeOf(options.Get("shape").ToObject()),
          .brings_weights = IsTrue(options, "bringsWeights"),
          .provider = TextOf(options, "provider"),
          .host = TextOf(options, "host"),
          .port = TextOf(options, "port"),
          .traffic_class = static_cast<int>(IntegerOf(options, "trafficClass")),
          .sends_apart = IsTrue(options, "sendsApart")};
}

// The mapping ends when JavaScript's last view of it is collected and the port is gone, never
// earlier: a late read of a view must not touch unmapped memory.
Napi::ArrayBuffer Wrap(Napi::Env env, const std::shared_ptr<Mapping>& mapping, std::size_t offset,
                       std::size_t byte_length) {
  auto* keeper = new std::shared_ptr<Mapping>(mapping);
  return Napi::ArrayBuffer::New(
      env, mapping->data() + offset, byte_length,
      [](Napi::Env, void*, std::shared_ptr<Mapping>* kept) { delete kept; }, keeper);
}

// A port of libfabric. Its thread is joined when the object is collected or its environment ends,
// whichever comes first.
class FabricPort : public Napi::ObjectWrap<FabricPort> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "FabricPort",
        {InstanceMethod("place", &FabricPort::Place), InstanceMethod("buffer", &FabricPort::Buffer),
         InstanceMethod("open", &FabricPort::Open), InstanceMethod("isOpen", &FabricPort::IsOpen),
         InstanceMethod("mirror", &FabricPort::Mirror), InstanceMethod("loss", &FabricPort::Loss),
         InstanceMethod("send", &FabricPort::Send),
         InstanceMethod("waitForRing", &FabricPort::Wait),
         InstanceMethod("close", &FabricPort::Close)});
  }

  // new FabricPort(options)
  explicit FabricPort(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    Guarded(info.Env(), [&] { port_ = std::make_unique<Port>(OptionsOf(info[0].ToObject())); });
    napi_add_env_cleanup_hook(info.Env(), End, this);
  }
  ~FabricPort() override {
    if (port_ == nullptr) return;
    napi_remove_env_cleanup_hook(Env(), End, this);
  }

 private:
  static void End(void* self) { static_cast<FabricPort*>(self)->port_.reset(); }

  std::uint32_t Peer(const Napi::CallbackInfo& info) {
    return static_cast<std::uint32_t>(IntegerAt(info, 0, "peer"));
  }

  // place() → { provider, name, inbox, data }
  Napi::Value Place(const Napi::CallbackInfo& info) {
    const fabric::PortPlace& place = port_->place();
    auto object = Napi::Object::New(info.Env());
    object.Set("provider", place.provider);
    std::string name;
    for (const std::uint8_t byte : place.name) {
      constexpr char kDigits[] = "0123456789abcdef";
      name += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
    object.Set("name", name);
    object.Set("inbox", ToObject(info.Env(), place.inbox));
    object.Set("data", ToObject(info.Env(), place.data));
    return object;
  }

  // buffer() → the own segment
  Napi::Value Buffer(const Napi::CallbackInfo& info) {
    return Wrap(info.Env(), port_->own(), 0, port_->own()->byte_length());
  }

  // mirror(peer) → the copy of the peer's segment
  Napi::Value Mirror(const Napi::CallbackInfo& info) {
    const std::size_t bytes = port_->mirror_bytes();
    const std::size_t offset = Peer(info) * bytes;
    if (offset + bytes > port_->mirrors()->byte_length()) {
      throw Napi::RangeError::New(info.Env(), "There is no such peer");
    }
    return Wrap(info.Env(), port_->mirrors(), offset, bytes);
  }

  // open(peer, place, nonceLow, nonceHigh)
  void Open(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      const Napi::Object place = info[1].ToObject();
      const std::string digits = TextOf(place, "name");
      std::vector<std::uint8_t> name;
      for (std::size_t at = 0; at + 1 < digits.size(); at += 2) {
        name.push_back(static_cast<std::uint8_t>(Parse(digits.substr(at, 2))));
      }
      PeerPlace peer{.inbox = ToMemory(place, "inbox"), .data = ToMemory(place, "data")};
      peer.nonce[0] = static_cast<std::int32_t>(IntegerAt(info, 2, "nonceLow"));
      peer.nonce[1] = static_cast<std::int32_t>(IntegerAt(info, 3, "nonceHigh"));
      port_->Open(Peer(info), name, peer);
    });
  }

  // isOpen(peer)
  Napi::Value IsOpen(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(),
                   [&] { return Napi::Boolean::New(info.Env(), port_->IsOpen(Peer(info))); });
  }

  // loss(peer) → { code, why } or undefined
  Napi::Value Loss(const Napi::CallbackInfo& info) {
    return Guarded(info.Env(), [&]() -> Napi::Value {
      const auto loss = port_->LossOf(Peer(info));
      if (!loss.has_value()) return info.Env().Undefined();
      auto object = Napi::Object::New(info.Env());
      object.Set("code", loss->code == fabric::LossCode::kFrameInvalid ? "ERR_FRAME_INVALID"
                                                                       : "ERR_PEER_CLOSED");
      object.Set("why", loss->why);
      return object;
    });
  }

  // send(peer)
  void Send(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] { port_->Send(Peer(info)); });
  }

  // waitForRing(seen, spinUs, timeoutUs, spinYields)
  void Wait(const Napi::CallbackInfo& info) {
    Guarded(info.Env(), [&] {
      port_->Wait(DoorbellWait{.seen = static_cast<std::int32_t>(IntegerAt(info, 0, "seen")),
                               .spin_microseconds = IntegerAt(info, 1, "spinUs"),
                               .spin_yields = info[3].ToBoolean(),
                               .timeout_microseconds = IntegerAt(info, 2, "timeoutUs")});
    });
  }

  // close()
  void Close(const Napi::CallbackInfo&) { port_->Close(); }

  std::unique_ptr<Port> port_;
};

// fabricTrouble(provider) → why there is no fabric here, or undefined
Napi::Value Trouble(const Napi::CallbackInfo& info) {
  try {
    fabric::EndpointOptions options;
    if (info[0].IsString()) options.provider = info[0].ToString().Utf8Value();
    fabric::ChooseProvider(options);
    return info.Env().Undefined();
  } catch (const std::exception& error) {
    return Napi::String::New(info.Env(), error.what());
  }
}

}  // namespace

void DefineFabric(Napi::Env env, Napi::Object exports) {
  exports.Set("fabricTrouble", Napi::Function::New(env, Trouble, "fabricTrouble"));
  exports.Set("FabricPort", FabricPort::Define(env));
}

}  // namespace megascale::m2n

#else

namespace megascale::m2n {
namespace {

Napi::Value Trouble(const Napi::CallbackInfo& info) {
  return Napi::String::New(
      info.Env(),
      "this addon was built without libfabric's headers; on Debian and Ubuntu: apt install "
      "libfabric-dev, then npm run build:native -w packages/m2n");
}

}  // namespace

void DefineFabric(Napi::Env env, Napi::Object exports) {
  exports.Set("fabricTrouble", Napi::Function::New(env, Trouble, "fabricTrouble"));
}

}  // namespace megascale::m2n

#endif  // MEGASCALE_HAS_LIBFABRIC
