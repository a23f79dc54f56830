#pragma once

// clang-format off
// Written by src/compile/native-records-header.ts from src/compile/native-records.ts, where
// every record is explained. Do not edit.

#include <cstddef>
#include <cstdint>

namespace megascale {

enum class OpCode : std::uint8_t {
  kEmbed = 1,
  kRmsNorm = 2,
  kLinear = 3,
  kRope = 4,
  kKvAppend = 5,
  kPagedAttention = 6,
  kAddTo = 7,
  kSiluMultiply = 8,
  kRouter = 9,
  kLmHead = 10,
};

enum class ValueKind : std::uint8_t {
  kScratch = 0,
  kState = 1,
  kMessage = 2,
};

struct Op {
  OpCode code;  // which op
  int x = -1;  // value read; kvAppend: the keys; −1: none
  int y = -1;  // second value read; addTo: the value written
  int out = -1;  // value written
  int weight = -1;  // matrix; rmsNorm: vector; embed: embedding table
  int bias = -1;  // vector
  int table = -1;  // rotary table or KV cache
  std::size_t heads = 1;  // heads; rmsNorm: vectors per row
  std::size_t experts = 0;  // experts of the router
  std::size_t top_k = 0;  // experts that the router chooses per token
  std::size_t window = 0;  // positions that a token sees; 0: all
  float epsilon = 0;  // of the norm
  float scale = 1;  // of the attention scores or of the routes
  bool sigmoid = false;  // router scores by sigmoid, else softmax
  bool renormalize = false;  // the weights of a token add up to 1

  // Numbers of one record.
  static constexpr std::size_t kFields = 15;
  static Op Decode(const double* fields) {
    return {.code = static_cast<OpCode>(static_cast<int>(fields[0])),
            .x = static_cast<int>(fields[1]),
            .y = static_cast<int>(fields[2]),
            .out = static_cast<int>(fields[3]),
            .weight = static_cast<int>(fields[4]),
            .bias = static_cast<int>(fields[5]),
            .table = static_cast<int>(fields[6]),
            .heads = static_cast<std::size_t>(fields[7]),
            .experts = static_cast<std::size_t>(fields[8]),
            .top_k = static_cast<std::size_t>(fields[9]),
            .window = static_cast<std::size_t>(fields[10]),
            .epsilon = static_cast<float>(fields[11]),
            .scale = static_cast<float>(fields[12]),
            .sigmoid = fields[13] != 0,
            .renormalize = fields[14] != 0};
  }
};

struct Value {
  ValueKind kind;  // where it lives
  bool is_float;  // f32, else bf16
  std::size_t width;  // elements per token
  std::size_t buffer;  // which scratch or state buffer

  // Numbers of one record.
  static constexpr std::size_t kFields = 4;
  static Value Decode(const double* fields) {
    return {.kind = static_cast<ValueKind>(static_cast<int>(fields[0])),
            .is_float = fields[1] != 0,
            .width = static_cast<std::size_t>(fields[2]),
            .buffer = static_cast<std::size_t>(fields[3])};
  }
};

struct RotaryTable {
  std::size_t head_size;  // elements of a head
  double theta;  // base of the angles

  // Numbers of one record.
  static constexpr std::size_t kFields = 2;
  static RotaryTable Decode(const double* fields) {
    return {.head_size = static_cast<std::size_t>(fields[0]),
            .theta = fields[1]};
  }
};

struct KvCacheSizes {
  std::size_t kv_heads;  // KV heads of the layer
  std::size_t head_size;  // elements of a head

  // Numbers of one record.
  static constexpr std::size_t kFields = 2;
  static KvCacheSizes Decode(const double* fields) {
    return {.kv_heads = static_cast<std::size_t>(fields[0]),
            .head_size = static_cast<std::size_t>(fields[1])};
  }
};

}  // namespace megascale
// clang-format on
