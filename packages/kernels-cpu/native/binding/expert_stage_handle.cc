#include "binding/arguments.hpp"
#include "binding/handles.hpp"
#include "binding/profile_arrays.hpp"

namespace megascale {

Napi::Function ExpertStageHandle::Define(Napi::Env env) {
  using Self = ExpertStageHandle;
  return DefineClass(
      env, "ExpertStage",
      {InstanceMethod<&Self::BindSlots>("bindSlots"), InstanceMethod<&Self::Run>("run"),
       InstanceMethod<&Self::Load>("load"), InstanceMethod<&Self::Drop>("drop"),
       InstanceMethod<&Self::OpTotals>("opTotals"), InstanceMethod<&Self::OpRecords>("opRecords"),
       InstanceMethod<&Self::Record>("record"), InstanceMethod<&Self::MemoryBytes>("memoryBytes"),
       InstanceMethod<&Self::Close>("close")});
}

ExpertStageHandle::ExpertStageHandle(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<ExpertStageHandle>(info) {
  Guarded(info.Env(), [&] {
    const BackendHandle& backend = BackendHandle::From(info[0]);
    const auto from = info[1].As<Napi::Object>();
    const ExpertProgram program{.matrices = ReadMatrices(from.Get("matrices")),
                                .experts = ReadSizeLists(from.Get("experts")),
                                .expert_count = ReadSize(from, "expertCount"),
                                .layer_count = ReadSize(from, "layerCount"),
                                .hidden_size = ReadSize(from, "hiddenSize"),
                                .width_max = ReadSize(from, "widthMax"),
                                .rows_max = ReadSize(from, "rowsMax")};
    stage_ = std::make_unique<ExpertStage>(backend.pool(), backend.kernels(), program);
  });
}

ExpertStage& ExpertStageHandle::Stage() {
  if (stage_ == nullptr) throw Failure("ERR_DEVICE", "The expert stage is closed.");
  return *stage_;
}

// bindSlots([[hidden, answers], …])
void ExpertStageHandle::BindSlots(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const std::size_t row_bytes = Stage().hidden_size() * sizeof(bf16);
    const auto array = info[0].As<Napi::Array>();
    std::vector<Napi::ObjectReference> keep;
    std::vector<ExpertSlotMemory> slots;
    for (std::uint32_t i = 0; i < array.Length(); ++i) {
      const auto parts = array.Get(i).As<Napi::Array>();
      const BoundBytes hidden = BindBytes(parts.Get(0u), keep);
      const BoundBytes answers = BindBytes(parts.Get(1u), keep);
      slots.push_back({reinterpret_cast<const bf16*>(hidden.data), hidden.bytes / row_bytes,
                       reinterpret_cast<bf16*>(answers.data), answers.bytes / row_bytes});
    }
    Stage().BindSlots(std::move(slots));
    bound_ = std::move(keep);
  });
}

// run(layer, rowCount, rowsPerExpert, slotIndex, hiddenRow, answerRow)
void ExpertStageHandle::Run(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    Stage().Run(ReadWhole(info[0], "layer"),
                {.row_count = ReadWhole(info[1], "rowCount"),
                 .rows_per_expert = ReadInt32s(info[2], "rowsPerExpert"),
                 .slot_index = ReadInt32s(info[3], "slotIndex"),
                 .hidden_row = ReadInt32s(info[4], "hiddenRow"),
                 .answer_row = ReadInt32s(info[5], "answerRow")});
  });
}

// load(layer, expert, matrices) → bytes
Napi::Value ExpertStageHandle::Load(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const std::size_t bytes = Stage().Load(ReadWhole(info[0], "layer"),
                                           ReadWhole(info[1], "expert"), ReadMatrices(info[2]));
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  });
}

// drop(layer, expert) → bytes
Napi::Value ExpertStageHandle::Drop(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const std::size_t bytes =
        Stage().Drop(ReadWhole(info[0], "layer"), ReadWhole(info[1], "expert"));
    return Napi::Number::New(info.Env(), static_cast<double>(bytes));
  });
}

Napi::Value ExpertStageHandle::OpTotals(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return OpTotalsArray(info.Env(), Stage().profile()); });
}

Napi::Value ExpertStageHandle::OpRecords(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return OpRecordsArray(info.Env(), Stage().profile()); });
}

void ExpertStageHandle::Record(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] { StartRecording(Stage().profile(), info[0]); });
}

Napi::Value ExpertStageHandle::MemoryBytes(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(),
                 [&] { return MemoryBytesArray(info.Env(), Stage().weight_bytes(), 0); });
}

void ExpertStageHandle::Close(const Napi::CallbackInfo&) {
  stage_.reset();
  bound_.clear();
}

}  // namespace megascale
