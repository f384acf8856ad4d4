// Plans: operators without arithmetic and without memory. Each operator that computes goes through `plan_operator`
// below, which gets the shapes of its results from libtorch's Meta kernels; views, compositions and fused operators run
// as always. Whole numbers and scalars have values where they follow from known ones, since lengths and places of
// tokens decide the shapes of a step.
#include "planning.h"
#include "binding.h"
#include "block-cache.h"
#include "planned-shapes.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <sys/mman.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>
#include <utility>

namespace tunesmith {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

// ---- what a plan counts ----

struct Event {
  int64_t block;
  double bytes;  // negative when the block is freed
  int32_t name, phase;
};
struct Operations {
  double computed = 0, plain = 0;
};

// Addresses without memory.
class PlannedSpace final : public AddressSpace {
 public:
  uintptr_t reserve(size_t& bytes) override {
    const uintptr_t address = next_;
    next_ += bytes = std::max(bytes, size_t{1} << 40);
    return address;
  }
  bool commit(uintptr_t, size_t) override { return true; }
  void release(uintptr_t, size_t) override {}

 private:
  uintptr_t next_ = BlockCache::huge_page_bytes;
};

// A block that is in use: its address if it is a large one.
struct LiveBlock {
  uintptr_t address;
  size_t size;
};

struct Plan {
  std::mutex mutex;
  bool active = false;
  int64_t generation = 0, next = 0;
  PlannedSpace space;
  BlockCache blocks{space};
  size_t peak_held = 0;  // of memory in use and cached together
  std::unordered_map<int64_t, LiveBlock> live;
  std::vector<Event> events;
  std::vector<std::string> names, phases;
  std::unordered_map<std::string, int32_t> name_numbers;
  std::map<std::pair<int32_t, int32_t>, Operations> operations;  // by phase and operator
  int32_t name = 0, phase = 0;

  int32_t number_of(const std::string& text) {
    const auto [found, fresh] = name_numbers.try_emplace(text, static_cast<int32_t>(names.size()));
    if (fresh) names.push_back(text);
    return found->second;
  }
};
Plan& plan() {
  static auto* instance = new Plan;  // never destroyed: tensors may outlive the process's end
  return *instance;
}

constexpr int64_t blocks_of_plan = int64_t{1} << 32;

int64_t add_block(size_t bytes) {
  Plan& p = plan();
  std::lock_guard<std::mutex> lock(p.mutex);
  if (!p.active) return 0;
  const size_t size = BlockCache::block_size(bytes);
  uintptr_t address = 0;
  if (BlockCache::is_large(bytes))
    address = p.blocks.take(size);
  else
    p.blocks.count(size);
  p.peak_held = std::max(p.peak_held, p.blocks.in_use + p.blocks.cached);
  const int64_t number = p.generation * blocks_of_plan + ++p.next;
  p.live[number] = {address, size};
  p.events.push_back({number, static_cast<double>(size), p.name, p.phase});
  return number;
}

void remove_block(int64_t number) {
  Plan& p = plan();
  std::lock_guard<std::mutex> lock(p.mutex);
  if (!p.active || number / blocks_of_plan != p.generation) return;
  const auto found = p.live.find(number);
  if (found == p.live.end()) return;
  const auto [address, size] = found->second;
  p.live.erase(found);
  p.events.push_back({number, -static_cast<double>(size), p.name, p.phase});
  if (BlockCache::is_large(size))
    p.blocks.give(address, size);
  else
    p.blocks.uncount(size);
}

struct PlannedBlock {
  int64_t number;
};
void release_planned(void* context) {
  auto* block = static_cast<PlannedBlock*>(context);
  remove_block(block->number);
  delete block;
}

// Where planned tensors seem to be: code that reads values in spite of the plan reads zeros and does not crash.
void* zeros(size_t bytes) {
  constexpr size_t reserved = size_t{1} << 43;
  static void* base = [] {
    void* memory = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  }();
  return bytes <= reserved ? base : nullptr;
}

bool is_planned(const Tensor& t) {
  return t.defined() && t.has_storage() && t.storage().data_ptr().get_deleter() == &release_planned;
}
bool has_whole_numbers(const Tensor& t) {
  const auto type = t.scalar_type();
  // Bytes are codes of quantised weights.
  return type == at::kBool || type == at::kLong || type == at::kInt || type == at::kShort;
}

// Whether a tensor with values was allocated in this plan.
bool is_made_in_plan(const Tensor& t) {
  const auto& memory = t.storage().data_ptr();
  if (memory.get_deleter() != c10::GetAllocator(c10::kCPU)->raw_deleter() || memory.get() == nullptr) return false;
  return plan_number(memory.get()) / blocks_of_plan == plan().generation;
}

// Gives a planned tensor memory, filled with zeros.
void give_values(const Tensor& t) {
  if (!is_planned(t)) return;
  const size_t bytes = t.storage().nbytes();
  c10::StorageImpl* storage = t.storage().unsafeGetStorageImpl();
  storage->set_data_ptr(c10::DataPtr(nullptr, c10::kCPU));
  ComputeValues values;
  c10::DataPtr memory = c10::GetAllocator(c10::kCPU)->allocate(bytes);
  if (bytes > 0) std::memset(memory.get(), 0, bytes);
  storage->set_data_ptr(std::move(memory));
}

// ---- operations of ATen's products ----

void count_aten(const std::string& full, const Stack& arguments) {
  std::string name = full.substr(full.find("::") + 2);
  if (!name.empty() && name.back() == '_') name.pop_back();
  const size_t first = name == "addmm" || name == "baddbmm" || name == "addmv" ? 1 : 0;
  if (name != "mm" && name != "bmm" && name != "mv" && name != "dot" && first == 0) return;
  const Tensor &a = tensor_at(arguments, first), &b = tensor_at(arguments, first + 1);
  if (name == "dot")
    count_product(1, 1, a.size(0));
  else if (name == "mv" || name == "addmv")
    count_product(a.size(0), 1, a.size(1));
  else if (name == "mm" || name == "addmm")
    count_product(a.size(0), b.size(1), a.size(1));
  else
    count_product(a.size(0) * a.size(1), b.size(2), a.size(2));
}

// Attention over heads [B,H,T,D], with queries and keys from argument `first` on.
void count_heads(const Stack& arguments, size_t first, double products, double plain_products) {
  const Tensor &q = tensor_at(arguments, first), &k = tensor_at(arguments, first + 1);
  const double each = 2.0 * static_cast<double>(q.numel()) * static_cast<double>(k.size(2));
  count_operations(each * products, each * plain_products);
}

// ---- shapes ----

Tensor planned_like(const Tensor& meta) {
  Tensor t = at::empty_strided(meta.sizes(), meta.strides(), meta.options().device(at::kCPU));
  if (has_whole_numbers(t)) {
    give_values(t);
  } else if (!is_planned(t) && t.numel() > 0 && at::isFloatingType(t.scalar_type())) {
    ComputeValues values;
    t.fill_(0.5);  // a scalar: finite, and no neutral element
  }
  return t;
}

template <class Body> void each_tensor(const IValue& value, const Body& body) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) body(value.toTensor());
  } else if (value.isTensorList()) {
    for (const Tensor& t : value.toTensorList()) body(t);
  } else if (value.isOptionalTensorList()) {
    for (const std::optional<Tensor> t : value.toOptionalTensorList())
      if (t.has_value() && t->defined()) body(*t);
  }
}

bool is_written(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

c10::DispatchKeySet below(c10::DispatchKeySet keys) {
  return keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, planning_key);
}

// The names of operators that change a tensor's shape or storage.
bool reshapes_in_place(const std::string& name) {
  return name == "aten::resize_" || name == "aten::resize_as_" || name == "aten::set_" ||
         name == "aten::_resize_output_";
}

struct NameScope {
  int32_t before;
  explicit NameScope(const std::string& name) {
    Plan& p = plan();
    std::lock_guard<std::mutex> lock(p.mutex);
    before = p.name;
    p.name = p.number_of(name);
  }
  ~NameScope() {
    std::lock_guard<std::mutex> lock(plan().mutex);
    plan().name = before;
  }
};

// Tensors that an operator writes keep their values; those without a shape yet get it. Returns the written ones as
// results.
void write_nothing(const c10::OperatorHandle& op, Stack& arguments, Stack* stack) {
  const auto& schema = op.schema();
  Stack results;
  bool resized = false;
  for (size_t i = 0; i < arguments.size(); i++)
    resized |= is_written(schema.arguments()[i]) && arguments[i].isTensor() && arguments[i].toTensor().numel() == 0;
  const bool others = std::any_of(schema.returns().begin(), schema.returns().end(),
                                  [](const c10::Argument& r) { return r.alias_info() == nullptr; });
  if (resized || others) {
    Stack meta;
    shapes_of(op, arguments, results);
  }
  for (size_t i = 0; i < schema.returns().size(); i++) {
    const auto* alias = schema.returns()[i].alias_info();
    if (alias == nullptr) {
      stack->emplace_back(results[i].isTensor() && results[i].toTensor().defined() ? planned_like(results[i].toTensor())
                                                                                   : results[i]);
      continue;
    }
    for (size_t j = 0; j < arguments.size(); j++) {
      const auto* own = schema.arguments()[j].alias_info();
      if (own == nullptr || own->beforeSets() != alias->beforeSets()) continue;
      const Tensor written = arguments[j].isTensor() ? arguments[j].toTensor() : Tensor();
      if (resized && written.defined() && results[i].isTensor() && written.sizes() != results[i].toTensor().sizes())
        written.resize_(results[i].toTensor().sizes());
      stack->push_back(arguments[j]);
      break;
    }
  }
}

void plan_operator(const c10::OperatorHandle& op, c10::DispatchKeySet keys, Stack* stack) {
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size();
  const NameScope name(schema.name());
  const bool is_view = std::any_of(schema.returns().begin(), schema.returns().end(), [](const c10::Argument& r) {
    return r.alias_info() != nullptr && !r.alias_info()->isWrite();
  });
  Stack arguments(stack->end() - static_cast<int64_t>(count), stack->end());
  bool has_tensor = false, known = true, small = true, writes = false, writes_numbers = true;
  for (size_t i = 0; i < count; i++)
    each_tensor(arguments[i], [&](const Tensor& t) {
      has_tensor = true;
      const bool written = is_written(schema.arguments()[i]);
      writes |= written;
      if (is_view) return;
      if (has_whole_numbers(t)) {
        if (!reshapes_in_place(schema.name())) give_values(t);
        return;
      }
      // Only what the plan made is written: parameters of a model that exists outside of it must not change.
      if (written) writes_numbers &= t.numel() > 0 && is_made_in_plan(t);
      known &= !is_planned(t);
      small &= t.numel() <= 4096;
    });
  if (is_view || !has_tensor || reshapes_in_place(schema.name())) {
    op.redispatchBoxed(below(keys), stack);
    return;
  }
  count_aten(schema.name(), arguments);
  if (schema.name() == "aten::_scaled_dot_product_flash_attention_for_cpu") count_heads(arguments, 0, 2, 2);
  if (schema.name() == "aten::_scaled_dot_product_flash_attention_for_cpu_backward") count_heads(arguments, 1, 5, 4);
  if (known && small && (!writes || writes_numbers)) {
    ComputeValues values;
    op.redispatchBoxed(below(keys), stack);
    return;
  }
  stack->erase(stack->end() - static_cast<int64_t>(count), stack->end());
  if (schema.name() == "aten::_local_scalar_dense") {
    stack->emplace_back(at::Scalar(0.5));
    return;
  }
  if (schema.name() == "aten::equal") {
    stack->emplace_back(true);
    return;
  }
  if (writes) {
    write_nothing(op, arguments, stack);
    return;
  }
  Stack results;
  shapes_of(op, arguments, results);
  for (IValue& result : results) {
    if (result.isTensor() && result.toTensor().defined())
      result = planned_like(result.toTensor());
    else if (result.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : result.toTensorList()) list.push_back(t.defined() ? planned_like(t) : t);
      result = list;
    }
    stack->push_back(std::move(result));
  }
}

// ---- the interface to JavaScript ----

// beginPlan(): opens a plan; operators compute shapes where this thread has called setPlanning(true)
TUNESMITH_FUNCTION(begin_plan) {
  return guarded(env, [&] {
    Plan& p = plan();
    std::lock_guard<std::mutex> lock(p.mutex);
    if (p.active) throw ArgumentError("another plan is being made in this process");
    p.active = true;
    p.generation++;
    p.next = 0;
    p.space = PlannedSpace();
    p.blocks = BlockCache(p.space);
    p.peak_held = 0;
    p.live.clear();
    p.events.clear();
    p.names.assign({""});
    p.name_numbers = {{"", 0}};
    p.phases.assign({""});
    p.operations.clear();
    p.name = p.phase = 0;
    return make_undefined(env);
  });
}

// setPlanning(on): whether this thread's operators compute shapes only, for the plan that is open
TUNESMITH_FUNCTION(set_planning) {
  return guarded(env, [&] {
    Arguments a(env, info);
    c10::impl::tls_set_dispatch_key_included(planning_key, read_bool(env, a[0], "on"));
    return make_undefined(env);
  });
}

// planPhase(name): what follows is counted for this phase
TUNESMITH_FUNCTION(plan_phase) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string name = read_string(env, a[0], "phase");
    Plan& p = plan();
    std::lock_guard<std::mutex> lock(p.mutex);
    const auto found = std::find(p.phases.begin(), p.phases.end(), name);
    p.phase = static_cast<int32_t>(found - p.phases.begin());
    if (found == p.phases.end()) p.phases.push_back(name);
    return make_undefined(env);
  });
}

// plannedBlock(handle) -> the number of the tensor's block, or 0 for a tensor with values
TUNESMITH_FUNCTION(planned_block) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const Tensor t = read_tensor(env, a[0]);
    if (!is_planned(t)) return make_number(env, 0);
    const auto* block = static_cast<const PlannedBlock*>(t.storage().data_ptr().get_context());
    return make_number(env, static_cast<double>(block->number));
  });
}

template <class Row> napi_value make_table(napi_env env, size_t rows, const Row& row) {
  void* data;
  napi_value buffer, array;
  check(env, napi_create_arraybuffer(env, rows * 4 * sizeof(double), &data, &buffer), "an array");
  auto* numbers = static_cast<double*>(data);
  for (size_t i = 0; i < rows; i++) row(i, numbers + 4 * i);
  check(env, napi_create_typedarray(env, napi_float64_array, rows * 4, buffer, 0, &array), "an array");
  return array;
}

napi_value make_strings(napi_env env, const std::vector<std::string>& texts) {
  napi_value array;
  check(env, napi_create_array_with_length(env, texts.size(), &array), "an array");
  for (size_t i = 0; i < texts.size(); i++)
    napi_set_element(env, array, static_cast<uint32_t>(i), make_string(env, texts[i]));
  return array;
}

// What a plan counted.
struct Record {
  size_t peak, peak_held;
  std::vector<std::string> names, phases;
  std::vector<Event> events;
  std::vector<std::pair<std::pair<int32_t, int32_t>, Operations>> operations;
};

// Ends the plan. JavaScript objects are made of the record without the lock: making one may collect garbage, and so
// free planned tensors, which asks for the lock.
Record take_record() {
  Plan& p = plan();
  std::lock_guard<std::mutex> lock(p.mutex);
  if (!p.active) throw ArgumentError("there is no plan to end");
  p.active = false;
  p.live.clear();
  return {p.blocks.peak,
          p.peak_held,
          p.names,
          p.phases,
          std::exchange(p.events, {}),
          {p.operations.begin(), p.operations.end()}};
}

// endPlan() -> { peak, peakHeld, names, phases, events, operations }: rows of four numbers, block, bytes, name, phase,
// and phase, name, computed, plain
TUNESMITH_FUNCTION(end_plan) {
  return guarded(env, [&] {
    const Record record = take_record();
    napi_value result;
    napi_create_object(env, &result);
    set_field(env, result, "peak", make_number(env, static_cast<double>(record.peak)));
    set_field(env, result, "peakHeld", make_number(env, static_cast<double>(record.peak_held)));
    set_field(env, result, "names", make_strings(env, record.names));
    set_field(env, result, "phases", make_strings(env, record.phases));
    set_field(env, result, "events", make_table(env, record.events.size(), [&](size_t i, double* row) {
                const Event& e = record.events[i];
                row[0] = static_cast<double>(e.block);
                row[1] = e.bytes;
                row[2] = e.name;
                row[3] = e.phase;
              }));
    const auto& operations = record.operations;
    set_field(env, result, "operations", make_table(env, operations.size(), [&](size_t i, double* row) {
                row[0] = operations[i].first.first;
                row[1] = operations[i].first.second;
                row[2] = operations[i].second.computed;
                row[3] = operations[i].second.plain;
              }));
    return result;
  });
}

}  // namespace

c10::DataPtr planned_memory(size_t bytes) {
  if (bytes <= 16) {
    // Scalars have values: code that wraps a number in a tensor writes them without an operator.
    ComputeValues values;
    c10::DataPtr memory = c10::GetAllocator(c10::kCPU)->allocate(bytes);
    std::memset(memory.get(), 0, bytes);
    return memory;
  }
  return {zeros(bytes), new PlannedBlock{add_block(bytes)}, &release_planned, c10::Device(c10::kCPU)};
}

int64_t plan_block(size_t bytes) {
  return c10::impl::tls_local_dispatch_key_set().included_.has(planning_key) ? add_block(bytes) : 0;
}
void unplan_block(int64_t number) { remove_block(number); }

void count_operations(double computed, double plain) {
  Plan& p = plan();
  std::lock_guard<std::mutex> lock(p.mutex);
  Operations& own = p.operations[{p.phase, p.name}];
  own.computed += computed;
  own.plain += plain;
}

void count_product(int64_t rows, int64_t columns, int64_t depth) {
  const double operations = 2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(depth);
  count_operations(operations, operations);
}

void name_operator(const char* name, bool backward) {
  Plan& p = plan();
  std::lock_guard<std::mutex> lock(p.mutex);
  p.name = p.number_of(backward ? std::string("tunesmith::") + name + " backward" : std::string(name));
}

void expect_values(const Tensor& t) {
  TORCH_CHECK(!is_planned(t) || planning(),
              "Expected a tensor with values, got one of a plan, which has a shape only.");
}

void give_planned_values(const Tensor& t) { give_values(t); }

Tensor with_values(const Tensor& t) {
  if (!is_planned(t)) return t;
  ComputeValues values;
  return at::full(t.sizes(), at::isFloatingType(t.scalar_type()) ? 0.5 : 0.0, t.options());
}

std::vector<Export> planning_exports() {
  return {{"beginPlan", begin_plan},
          {"setPlanning", set_planning},
          {"planPhase", plan_phase},
          {"plannedBlock", planned_block},
          {"endPlan", end_plan}};
}

TORCH_LIBRARY_IMPL(_, CustomRNGKeyId, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&plan_operator>()); }

// Compositions that read or write memory themselves.
TORCH_LIBRARY_IMPL(aten, CustomRNGKeyId, m) {
  m.impl("copy_", torch::CppFunction::makeFromBoxedFunction<&plan_operator>());
  // Their compositions are for other devices.
  m.impl("native_layer_norm", torch::CppFunction::makeFromBoxedFunction<&plan_operator>());
}

}  // namespace tunesmith
