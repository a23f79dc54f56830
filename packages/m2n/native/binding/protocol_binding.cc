#include "binding/protocol_binding.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "binding/values.hpp"
#include "protocol/allocation_count.hpp"
#include "protocol/frame.hpp"
#include "protocol/segment_layout.hpp"
#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

struct Field {
  const char* name;
  std::int64_t value;
};

Napi::Object ObjectOf(Napi::Env env, std::initializer_list<Field> fields) {
  auto object = Napi::Object::New(env);
  for (const auto& [name, value] : fields) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  }
  return object;
}

Napi::Object SpanOf(Napi::Env env, const Span& span) {
  return ObjectOf(env, {{"byteOffset", span.byte_offset}, {"byteLength", span.byte_length}});
}

// layoutOfAttentionSegment(shape) → AttentionSegmentLayout of src/segment-layout.ts
Napi::Value Layout(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const AttentionSegmentLayout layout = LayoutOfAttentionSegment(ShapeOf(ObjectAt(info, 0)));
  auto pairs = Napi::Array::New(env);
  for (const PairWords& pair : layout.pairs) {
    pairs[pairs.Length()] = ObjectOf(env, {{"ringHead", pair.ring_head},
                                           {"ringTail", pair.ring_tail},
                                           {"ringFrames", pair.ring_frames},
                                           {"replies", pair.replies}});
  }
  auto slots = Napi::Array::New(env);
  for (const SlotSpans& spans : layout.slots) {
    auto slot = Napi::Object::New(env);
    slot.Set("hidden", SpanOf(env, spans.hidden));
    slot.Set("expertIds", SpanOf(env, spans.expert_ids));
    slot.Set("expertRanks", SpanOf(env, spans.expert_ranks));
    slot.Set("weights", SpanOf(env, spans.weights));
    slot.Set("answers", SpanOf(env, spans.answers));
    slots[slots.Length()] = slot;
  }
  auto result = ObjectOf(env, {{"byteLength", layout.byte_length}});
  result.Set("pairs", pairs);
  result.Set("slots", slots);
  return result;
}

// expertSegmentBytes(shape) → number
Napi::Value ExpertBytes(const Napi::CallbackInfo& info) {
  const std::int64_t bytes = ExpertSegmentBytes(ShapeOf(ObjectAt(info, 0)));
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// The words of one frame: an Int32Array of kFrameWords.
std::int32_t* FrameWordsAt(const Napi::CallbackInfo& info, std::size_t index) {
  const Napi::Value value = info[index];
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array &&
      value.As<Napi::TypedArray>().ElementLength() == static_cast<std::size_t>(kFrameWords)) {
    return value.As<Napi::Int32Array>().Data();
  }
  throw Napi::TypeError::New(info.Env(), "Expected the words of a frame");
}

// encodeFrame(frame, words): `frame` as in src/frame.ts
void Encode(const Napi::CallbackInfo& info) {
  const Napi::Object source = ObjectAt(info, 0);
  const auto next = source.Get("next").ToObject();
  Frame frame;
  frame.type =
      source.Get("type").ToString().Utf8Value() == "park" ? FrameType::kPark : FrameType::kRows;
  frame.sequence = static_cast<std::int32_t>(IntegerOf(source, "sequence"));
  frame.step = IntegerOf(source, "step");
  frame.layer = static_cast<std::int32_t>(IntegerOf(source, "layer"));
  frame.micro_batch = static_cast<std::int32_t>(IntegerOf(source, "microBatch"));
  frame.tokens = static_cast<std::int32_t>(IntegerOf(source, "tokens"));
  frame.row_count = static_cast<std::int32_t>(IntegerOf(source, "rowCount"));
  frame.placement_epoch = static_cast<std::int32_t>(IntegerOf(source, "placementEpoch"));
  frame.next = {.step = IntegerOf(next, "step"),
                .layer = static_cast<std::int32_t>(IntegerOf(next, "layer")),
                .micro_batch = static_cast<std::int32_t>(IntegerOf(next, "microBatch"))};
  EncodeFrame(frame, FrameWordsAt(info, 1));
}

// decodeFrame(words, shape) → the frame, or undefined where it is none
Napi::Value Decode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Frame frame;
  if (!DecodeFrame(FrameWordsAt(info, 0), ShapeOf(ObjectAt(info, 1)), &frame)) {
    return env.Undefined();
  }
  auto result = ObjectOf(env, {{"sequence", frame.sequence},
                               {"step", frame.step},
                               {"layer", frame.layer},
                               {"microBatch", frame.micro_batch},
                               {"tokens", frame.tokens},
                               {"rowCount", frame.row_count},
                               {"placementEpoch", frame.placement_epoch}});
  result.Set("type", Napi::String::New(env, frame.type == FrameType::kPark ? "park" : "rows"));
  result.Set("next", ObjectOf(env, {{"step", frame.next.step},
                                    {"layer", frame.next.layer},
                                    {"microBatch", frame.next.micro_batch}}));
  return result;
}

// allocationCount() → number
Napi::Value Allocations(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(AllocationCount()));
}

}  // namespace

void DefineProtocol(Napi::Env env, Napi::Object exports) {
  exports.Set("layoutOfAttentionSegment",
              Napi::Function::New(env, Layout, "layoutOfAttentionSegment"));
  exports.Set("expertSegmentBytes", Napi::Function::New(env, ExpertBytes, "expertSegmentBytes"));
  exports.Set("allocationCount", Napi::Function::New(env, Allocations, "allocationCount"));
  exports.Set("encodeFrame", Napi::Function::New(env, Encode, "encodeFrame"));
  exports.Set("decodeFrame", Napi::Function::New(env, Decode, "decodeFrame"));
}

}  // namespace megascale::m2n
