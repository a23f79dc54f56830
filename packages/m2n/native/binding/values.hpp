#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

#include "protocol/segment_layout.hpp"

// What JavaScript passes, checked: every binding reads its arguments with these.
namespace megascale::m2n {

// Errors of C++ become JavaScript errors here and nowhere else.
template <typename Body>
auto Guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

inline std::int64_t Integer(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) {
    throw Napi::TypeError::New(env, std::string("Expected ") + name + " to be a number");
  }
  return value.As<Napi::Number>().Int64Value();
}

inline std::int64_t IntegerAt(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  return Integer(info.Env(), info[index], name);
}

inline std::int64_t IntegerOf(const Napi::Object& object, const char* field) {
  return Integer(object.Env(), object.Get(field), field);
}

inline std::string TextOf(const Napi::Object& object, const char* field) {
  const Napi::Value value = object.Get(field);
  if (!value.IsString()) {
    throw Napi::TypeError::New(object.Env(), std::string("Expected ") + field + " to be a string");
  }
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object ObjectAt(const Napi::CallbackInfo& info, std::size_t index) {
  if (!info[index].IsObject()) throw Napi::TypeError::New(info.Env(), "Expected an object");
  return info[index].As<Napi::Object>();
}

// Named as in src/port-shape.ts.
inline PortShape ShapeOf(const Napi::Object& shape) {
  return PortShape{.attention_worker_count = IntegerOf(shape, "attentionWorkerCount"),
                   .expert_worker_count = IntegerOf(shape, "expertWorkerCount"),
                   .layer_count = IntegerOf(shape, "layerCount"),
                   .hidden_size = IntegerOf(shape, "hiddenSize"),
                   .top_k = IntegerOf(shape, "topK"),
                   .element_bytes = IntegerOf(shape, "elementBytes"),
                   .tokens_per_slot_max = IntegerOf(shape, "tokensPerSlotMax"),
                   .slot_count = IntegerOf(shape, "slotCount"),
                   .expert_count = IntegerOf(shape, "expertCount")};
}

}  // namespace megascale::m2n
