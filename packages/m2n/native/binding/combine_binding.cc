#include "binding/combine_binding.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

#include "combine/partial_sums.hpp"

namespace megascale::m2n {
namespace {

// The first element of the typed array at `index`, which has at least `length` of them.
void* ElementsAt(const Napi::CallbackInfo& info, std::size_t index, napi_typedarray_type type,
                 std::int64_t length, const char* name) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray()) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " is no typed array");
  }
  // Not ArrayBuffer(): the memory may be shared.
  napi_typedarray_type found{};
  std::size_t elements = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(info.Env(), value, &found, &elements, &data, nullptr, nullptr) !=
          napi_ok ||
      found != type || elements < static_cast<std::size_t>(length)) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " has another type or is shorter");
  }
  return data;
}

// At least 0 and small enough that the product of three is no overflow.
std::int64_t CountAt(const Napi::CallbackInfo& info, std::size_t index, const char* name) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  const Napi::Value value = info[index];
  const std::int64_t count = value.IsNumber() ? value.As<Napi::Number>().Int64Value() : -1;
  if (count < 0 || count > kMost) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " is no count");
  }
  return count;
}

// sumPartialRows(answers: Float32Array | Uint16Array, weights, expertRanks, rank, tokens, topK,
// hiddenSize)
void Sum(const Napi::CallbackInfo& info) {
  PartialSums sums{.weights = nullptr,
                   .expert_ranks = nullptr,
                   .rank = static_cast<std::int32_t>(CountAt(info, 3, "rank")),
                   .tokens = CountAt(info, 4, "tokens"),
                   .top_k = CountAt(info, 5, "topK"),
                   .hidden_size = CountAt(info, 6, "hiddenSize")};
  const std::int64_t routes = sums.tokens * sums.top_k;
  const std::int64_t elements = routes * sums.hidden_size;
  sums.weights =
      static_cast<const float*>(ElementsAt(info, 1, napi_float32_array, routes, "weights"));
  sums.expert_ranks = static_cast<const std::int32_t*>(
      ElementsAt(info, 2, napi_int32_array, routes, "expertRanks"));
  const bool is_float = info[0].IsTypedArray() &&
                        info[0].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
  const auto type = is_float ? napi_float32_array : napi_uint16_array;
  void* answers = ElementsAt(info, 0, type, elements, "answers");
  if (is_float) {
    SumPartialRows(sums, static_cast<float*>(answers));
  } else {
    SumPartialRows(sums, static_cast<std::uint16_t*>(answers));
  }
}

}  // namespace

void DefineCombine(Napi::Env env, Napi::Object exports) {
  exports.Set("sumPartialRows", Napi::Function::New(env, Sum, "sumPartialRows"));
}

}  // namespace megascale::m2n
