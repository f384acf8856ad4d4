// Graphs of the strict device: a capture keeps its operators with their arguments and results, and a replay runs them
// again into the same memory. As a capture of CUDA it refuses waits and copies from memory that is not pinned, leaves
// no results before a replay, and reads memory that was there at the time.
#include "strict-device.h"

#ifdef TUNESMITH_HAS_ACCELERATOR
#include <ATen/core/GraphImplInterface.h>
#include <ATen/core/LegacyTypeDispatch.h>
#endif

#include <cstring>
#include <memory>
#include <unordered_map>

namespace tunesmith::strict {
namespace {

struct Recording {
  std::vector<std::function<void()>> steps;
  // Memory that the capture made, which belongs to the graph.
  std::unordered_map<const c10::StorageImpl*, c10::Storage> own;
  // Memory that was there before, and how many references to it the recording has itself.
  std::unordered_map<c10::StorageImpl*, size_t> others;

  // A reference that is counted, so that it does not hide that nobody else has the memory any more.
  Tensor kept(const Tensor& t) {
    if (!t.defined() || t.device().type() != type) return t;
    auto* storage = t.storage().unsafeGetStorageImpl();
    if (own.count(storage) == 0) others[storage]++;
    return strict::alias(t);
  }

  c10::IValue kept(const c10::IValue& value) {
    if (value.isTensor()) return kept(value.toTensor());
    if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : value.toTensorList()) list.push_back(kept(t));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor> t : value.toOptionalTensorList())
        list.push_back(t ? std::optional<Tensor>(kept(*t)) : std::nullopt);
      return list;
    }
    return value;
  }

  Stack kept(const Stack& values) {
    Stack result;
    for (const c10::IValue& value : values) result.push_back(kept(value));
    return result;
  }

  void expect_alive() const {
    for (const auto& [storage, references] : others)
      TORCH_CHECK(c10::raw::intrusive_ptr::use_count(storage) > references,
                  "Expected the memory of a graph to be as in its capture, got memory that was freed since.");
  }

  // What a capture leaves in its memory means nothing.
  void spoil() const {
    for (const auto& [key, storage] : own)
      if (storage.nbytes() > 0) std::memset(storage.mutable_data(), 0xff, storage.nbytes());
  }
};

Recording* recording = nullptr;

// Writes the results of a replay to the memory of the capture's. Results that are views of arguments are there already.
void write_results(const c10::IValue& from, const c10::IValue& to) {
  if (from.isTensor() && from.toTensor().defined()) {
    const Tensor &source = from.toTensor(), &target = to.toTensor();
    if (source.storage().unsafeGetStorageImpl() == target.storage().unsafeGetStorageImpl()) return;
    TORCH_CHECK(source.sizes() == target.sizes(), "Expected results of fixed shapes in a graph, got ", source.sizes(),
                " in place of ", target.sizes(), ".");
    host_view(target).copy_(host_view(source));
  } else if (from.isTensorList()) {
    const auto sources = from.toTensorVector(), targets = to.toTensorVector();
    for (size_t i = 0; i < sources.size(); i++) write_results(sources[i], targets[i]);
  }
}

}  // namespace

bool capturing() { return recording != nullptr; }

void note_wait(const char* what) {
  TORCH_CHECK(!capturing(), "Expected no wait for the device in the capture of a graph, got ", what, ".");
  finish_uploads();
  counts.waits++;
}

void record_memory(const c10::Storage& made) {
  if (recording != nullptr) recording->own.emplace(made.unsafeGetStorageImpl(), made);
}

void record_operator(const c10::OperatorHandle& op, const Stack& arguments, const Stack& results) {
  if (recording == nullptr) return;
  recording->steps.push_back([op, given = recording->kept(arguments), made = recording->kept(results)] {
    const Stack again = run_operator(op, given);
    for (size_t i = 0; i < made.size(); i++) write_results(again[i], made[i]);
  });
}

void record_copy(const Tensor& from, const Tensor& to) {
  if (recording == nullptr) return;
  recording->steps.push_back(
      [source = recording->kept(from), target = recording->kept(to)] { host_view(target).copy_(host_view(source)); });
}

#ifdef TUNESMITH_HAS_ACCELERATOR
namespace {

struct StrictGraph final : at::GraphImplInterface {
  std::unique_ptr<Recording> own;

  explicit StrictGraph(const at::GraphImplArgs&) {}
  ~StrictGraph() override { stop(); }

  void capture_begin(at::MempoolId_t, at::GraphCaptureMode) override {
    TORCH_CHECK(stream != 0, "Expected a stream of its own for the capture of a graph, got the default stream.");
    TORCH_CHECK(recording == nullptr, "Expected one capture of a graph at a time, got a second one.");
    finish_uploads();
    own = std::make_unique<Recording>();
    recording = own.get();
  }
  void capture_end() override {
    TORCH_CHECK(own != nullptr && recording == own.get(), "Expected a capture of a graph to end, got none.");
    recording = nullptr;
    own->spoil();
    counts.captures++;
  }
  void instantiate() override {}
  void replay() override {
    TORCH_CHECK(own != nullptr && recording == nullptr, "Expected a graph that was captured to replay, got none.");
    finish_uploads();
    own->expect_alive();
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    for (const auto& step : own->steps) step();
    counts.replays++;
  }
  void reset() override {
    stop();
    own.reset();
  }
  at::MempoolId_t pool() const override { return {0, 0}; }
  void enable_debug_mode() override {}
  void debug_dump(const std::string&) override {}

 private:
  void stop() {
    if (own != nullptr && recording == own.get()) recording = nullptr;
  }
};

}  // namespace

void register_graphs() {
  at::GraphImplRegistry()->Register(c10::DeviceTypeName(type, /*lower_case=*/false), [](const at::GraphImplArgs& args) {
    return std::unique_ptr<at::GraphImplInterface>(new StrictGraph(args));
  });
}
#else
void register_graphs() {}
#endif

}  // namespace tunesmith::strict
