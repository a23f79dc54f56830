#include "binding/arguments.hpp"

#include <cmath>
#include <memory>

namespace megascale {
namespace {

Failure Mistyped(const char* name, const char* expected) {
  return ShapeFailure(std::string(name) + " is not " + expected + ".");
}

WeightType ReadWeightType(const std::string& name) {
  if (name == "F32") return WeightType::kF32;
  if (name == "F16") return WeightType::kF16;
  if (name == "BF16") return WeightType::kBf16;
  if (name == "I8") return WeightType::kInt8;
  if (name == "I4") return WeightType::kInt4;
  throw ShapeFailure("Weights of type " + name +
                     " are not supported. Use F32, F16, BF16, I8 or I4.");
}

// Products of such sizes and of element sizes stay far inside 64 bits.
constexpr std::size_t kElementsMax = std::size_t{1} << 48;

void CheckSizes(const TensorSource& source) {
  if (source.columns == 0 || source.rows <= kElementsMax / source.columns) return;
  throw ShapeFailure(source.name + " has " + std::to_string(source.rows) + " by " +
                     std::to_string(source.columns) + " elements, more than any machine holds.");
}

template <class T, class Read>
std::vector<T> ReadEach(const Napi::Value& value, const Read& read) {
  const auto array = value.As<Napi::Array>();
  std::vector<T> result;
  result.reserve(array.Length());
  for (std::uint32_t i = 0; i < array.Length(); ++i) result.push_back(read(array.Get(i)));
  return result;
}

}  // namespace

std::size_t ReadSize(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= 9007199254740991.0)) throw Mistyped(name, "a count");
  return static_cast<std::size_t>(number);
}

std::vector<double> ReadDoubles(const Napi::Value& value) {
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Mistyped("An argument", "a Float64Array");
  }
  const auto array = value.As<Napi::Float64Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::vector<std::size_t> ReadSizes(const Napi::Value& value) {
  std::vector<std::size_t> sizes;
  for (const double number : ReadDoubles(value)) sizes.push_back(static_cast<std::size_t>(number));
  return sizes;
}

std::vector<std::vector<std::size_t>> ReadSizeLists(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<std::vector<std::size_t>> lists;
  for (std::uint32_t i = 0; i < array.Length(); ++i) lists.push_back(ReadSizes(array.Get(i)));
  return lists;
}

std::int64_t ReadWhole(const Napi::Value& value, const char* name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0.5;
  const auto whole = std::abs(number) <= 9007199254740991.0 ? static_cast<std::int64_t>(number) : 0;
  if (static_cast<double>(whole) != number) throw Mistyped(name, "a whole number");
  return whole;
}

Int32View ReadInt32s(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    throw Mistyped(name, "an Int32Array");
  }
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.ElementLength()};
}

TensorSource ReadTensor(const Napi::Value& value) {
  const auto object = value.As<Napi::Object>();
  TensorSource source;
  source.name = object.Get("name").As<Napi::String>();
  source.type = ReadWeightType(object.Get("dtype").As<Napi::String>());
  source.rows = ReadSize(object, "rows");
  source.columns = ReadSize(object, "columns");
  CheckSizes(source);
  const Napi::Value scales = object.Get("scales");
  if (IsQuantized(source.type) && !scales.IsUndefined()) {
    source.scales = std::make_shared<const TensorSource>(ReadTensor(scales));
  }
  const Napi::Value bytes = object.Get("bytes");
  if (bytes.IsUndefined()) {
    source.file = object.Get("file").As<Napi::String>();
    source.offset = ReadSize(object, "byteOffset");
    return source;
  }
  const auto array = bytes.As<Napi::Uint8Array>();
  if (array.ByteLength() != source.bytes()) {
    throw Mistyped(source.name.c_str(), "as long as its shape says");
  }
  source.memory = array.Data();
  return source;
}

std::vector<TensorSource> ReadTensors(const Napi::Value& value) {
  return ReadEach<TensorSource>(value, ReadTensor);
}

std::vector<MatrixSource> ReadMatrices(const Napi::Value& value) {
  return ReadEach<MatrixSource>(
      value, [](const Napi::Value& parts) { return MatrixSource{ReadTensors(parts)}; });
}

Napi::ArrayBuffer ShareMemory(Napi::Env env, std::shared_ptr<HostMemory> memory) {
  void* data = memory->data();
  const std::size_t bytes = memory->bytes();
  auto* held = new std::shared_ptr<HostMemory>(std::move(memory));
  return Napi::ArrayBuffer::New(
      env, data, bytes, [](Napi::Env, void*, std::shared_ptr<HostMemory>* owner) { delete owner; },
      held);
}

BoundBytes BindBytes(const Napi::Value& value, std::vector<Napi::ObjectReference>& keep) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Mistyped("A region", "a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  if (reinterpret_cast<std::uintptr_t>(array.Data()) % 4 != 0) {
    throw Mistyped("A region", "aligned to 4 bytes");
  }
  keep.push_back(Napi::Persistent(value.As<Napi::Object>()));
  return {array.Data(), array.ByteLength()};
}

}  // namespace megascale
