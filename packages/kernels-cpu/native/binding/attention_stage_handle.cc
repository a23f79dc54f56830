#include "binding/arguments.hpp"
#include "binding/handles.hpp"
#include "binding/profile_arrays.hpp"

namespace megascale {
namespace {

template <class Record>
std::vector<Record> DecodeRecords(const Napi::Value& value) {
  const std::vector<double> fields = ReadDoubles(value);
  std::vector<Record> records;
  for (std::size_t at = 0; at + Record::kFields <= fields.size(); at += Record::kFields) {
    records.push_back(Record::Decode(fields.data() + at));
  }
  return records;
}

std::vector<std::vector<Op>> DecodeLists(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<std::vector<Op>> lists(array.Length());
  for (std::uint32_t i = 0; i < array.Length(); ++i) {
    lists[i] = DecodeRecords<Op>(array.Get(i));
  }
  return lists;
}

AttentionProgram DecodeProgram(const Napi::Object& from) {
  AttentionProgram program;
  program.values = DecodeRecords<Value>(from.Get("values"));
  program.scratch_row_bytes = ReadSizes(from.Get("scratchRowBytes"));
  program.state_row_bytes = ReadSizes(from.Get("stateRowBytes"));
  program.matrices = ReadMatrices(from.Get("matrices"));
  program.vectors = ReadTensors(from.Get("vectors"));
  program.tables = ReadTensors(from.Get("tables"));
  program.rotary_tables = DecodeRecords<RotaryTable>(from.Get("rotaryTables"));
  program.kv_caches = DecodeRecords<KvCacheSizes>(from.Get("kvCaches"));
  program.lists = DecodeLists(from.Get("lists"));
  for (const std::size_t value : ReadSizes(from.Get("residuals"))) {
    program.residuals.push_back(static_cast<int>(value));
  }
  program.top_ks = ReadSizes(from.Get("topKs"));
  program.hidden_size = ReadSize(from, "hiddenSize");
  program.vocab_size = ReadSize(from, "vocabSize");
  program.top_k_max = ReadSize(from, "topKMax");
  return program;
}

AttentionSizes DecodeSizes(const Napi::Object& from) {
  return {.kv_page_count = ReadSize(from, "kvPageCount"),
          .kv_page_size = ReadSize(from, "kvPageSize"),
          .micro_batch_count = ReadSize(from, "microBatchCount"),
          .tokens_max = ReadSize(from, "tokensPerMicroBatchMax"),
          .positions_max = ReadSize(from, "positionsMax"),
          .kv_dtype = ReadSize(from, "kvInt8") != 0 ? KvCacheDtype::kInt8 : KvCacheDtype::kBf16};
}

}  // namespace

Napi::Function AttentionStageHandle::Define(Napi::Env env) {
  using Self = AttentionStageHandle;
  return DefineClass(
      env, "AttentionStage",
      {InstanceMethod<&Self::BindSlots>("bindSlots"), InstanceMethod<&Self::Embed>("embed"),
       InstanceMethod<&Self::Attend>("attend"), InstanceMethod<&Self::Combine>("combine"),
       InstanceMethod<&Self::Logits>("logits"), InstanceMethod<&Self::LogitsBuffer>("logitsBuffer"),
       InstanceMethod<&Self::OpTotals>("opTotals"), InstanceMethod<&Self::OpRecords>("opRecords"),
       InstanceMethod<&Self::Record>("record"), InstanceMethod<&Self::MemoryBytes>("memoryBytes"),
       InstanceMethod<&Self::Close>("close")});
}

AttentionStageHandle::AttentionStageHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<AttentionStageHandle>(info) {
  Guarded(info.Env(), [&] {
    const BackendHandle& backend = BackendHandle::From(info[0]);
    const auto from = info[1].As<Napi::Object>();
    stage_ = std::make_unique<AttentionStage>(backend.pool(), backend.kernels(),
                                              DecodeProgram(from), DecodeSizes(from));
  });
}

AttentionStage& AttentionStageHandle::Stage() {
  if (stage_ == nullptr) throw Failure("ERR_DEVICE", "The attention stage is closed.");
  return *stage_;
}

// bindSlots([[hidden, expertIds, weights, answers], …]), one entry per micro-batch
void AttentionStageHandle::BindSlots(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const AttentionSizes& sizes = Stage().sizes();
    const AttentionProgram& program = Stage().program();
    const std::size_t rows = sizes.tokens_max * program.top_k_max;
    const std::size_t needed[4] = {sizes.tokens_max * program.hidden_size * sizeof(bf16),
                                   rows * sizeof(std::int32_t), rows * sizeof(float),
                                   rows * program.hidden_size * sizeof(bf16)};
    const auto array = info[0].As<Napi::Array>();
    if (array.Length() != sizes.micro_batch_count) {
      throw ShapeFailure("Found " + std::to_string(array.Length()) +
                         " slots, expected one per micro-batch, " +
                         std::to_string(sizes.micro_batch_count) + ".");
    }
    std::vector<Napi::ObjectReference> keep;
    std::vector<AttentionSlotMemory> slots;
    for (std::uint32_t i = 0; i < array.Length(); ++i) {
      const auto parts = array.Get(i).As<Napi::Array>();
      void* data[4];
      for (std::uint32_t part = 0; part < 4; ++part) {
        const BoundBytes bytes = BindBytes(parts.Get(part), keep);
        if (bytes.bytes < needed[part]) {
          constexpr const char* kNames[] = {"hidden", "expertIds", "weights", "answers"};
          throw ShapeFailure("slots[" + std::to_string(i) + "]." + kNames[part] + " has " +
                             std::to_string(bytes.bytes) + " bytes, the program needs " +
                             std::to_string(needed[part]) + ".");
        }
        data[part] = bytes.data;
      }
      slots.push_back({static_cast<bf16*>(data[0]), static_cast<std::int32_t*>(data[1]),
                       static_cast<float*>(data[2]), static_cast<const bf16*>(data[3])});
    }
    Stage().BindSlots(std::move(slots));
    bound_ = std::move(keep);
  });
}

// embed(index, tokenIds, positions, offsets, kvPages, kvPageOffsets, logitsRows)
void AttentionStageHandle::Embed(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    Stage().Embed(ReadWhole(info[0], "index"),
                  {.token_ids = ReadInt32s(info[1], "tokenIds"),
                   .positions = ReadInt32s(info[2], "positions"),
                   .offsets = ReadInt32s(info[3], "offsets"),
                   .kv_pages = ReadInt32s(info[4], "kvPages"),
                   .kv_page_offsets = ReadInt32s(info[5], "kvPageOffsets"),
                   .logits_rows = ReadInt32s(info[6], "logitsRows")});
  });
}

void AttentionStageHandle::Attend(const Napi::CallbackInfo& info) {
  Guarded(info.Env(),
          [&] { Stage().Attend(ReadWhole(info[0], "layer"), ReadWhole(info[1], "microBatch")); });
}

void AttentionStageHandle::Combine(const Napi::CallbackInfo& info) {
  Guarded(info.Env(),
          [&] { Stage().Combine(ReadWhole(info[0], "layer"), ReadWhole(info[1], "microBatch")); });
}

Napi::Value AttentionStageHandle::Logits(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const std::size_t rows = Stage().Logits(ReadWhole(info[0], "microBatch"));
    return Napi::Number::New(info.Env(), static_cast<double>(rows));
  });
}

Napi::Value AttentionStageHandle::LogitsBuffer(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return ShareMemory(info.Env(), Stage().logits()); });
}

Napi::Value AttentionStageHandle::OpTotals(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return OpTotalsArray(info.Env(), Stage().profile()); });
}

Napi::Value AttentionStageHandle::OpRecords(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return OpRecordsArray(info.Env(), Stage().profile()); });
}

void AttentionStageHandle::Record(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] { StartRecording(Stage().profile(), info[0]); });
}

Napi::Value AttentionStageHandle::MemoryBytes(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    return MemoryBytesArray(info.Env(), Stage().weight_bytes(), Stage().kv_bytes());
  });
}

void AttentionStageHandle::Close(const Napi::CallbackInfo&) {
  stage_.reset();
  bound_.clear();
}

}  // namespace megascale
