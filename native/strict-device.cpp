// The strict device, for tests of the placement of tensors without a GPU: memory of its own and kernels of the CPU,
// which refuse an argument on another device. Only explicit copies move values. It counts operators, and what would
// make a GPU and the host wait for each other. It exists once it was enabled, and only tests do that.
#include "strict-device.h"

#include "binding.h"
#include "fallbacks.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace tunesmith {
namespace {

using at::Tensor;
using c10::IValue;
using strict::Counts;
using strict::counts;
using strict::storage_over;
using torch::jit::Stack;

constexpr auto strict_type = strict::type;
const c10::Device& strict_device = strict::device;

std::atomic<bool> enabled{false};

// ---- device, memory, generator ----

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return strict_type; }
  c10::Device exchangeDevice(c10::Device device) const override { return device; }
  c10::Device getDevice() const override { return strict_device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  // Streams differ by their numbers only: the device does one thing after the other.
  c10::Stream getStream(c10::Device) const override { return stream_of(strict::stream); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream_of(0); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream_of(1); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return stream_of(1); }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return stream_of(std::exchange(strict::stream, stream.id()));
  }
#if __has_include(<c10/core/DeviceCapability.h>)
  c10::DeviceCapability getDeviceCapability(c10::Device) const override {
    c10::DeviceCapability all;
    if (strict::lacks.float64) all.capability_data.supported_scalar_types.has_Double = 0;
    return all;
  }
#endif
#ifdef TUNESMITH_HAS_ACCELERATOR
  void synchronizeDevice(c10::DeviceIndex) const override { strict::note_wait("synchronizeDevice"); }
#endif
  void synchronizeStream(const c10::Stream&) const override { strict::note_wait("synchronizeStream"); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}

 private:
  static c10::Stream stream_of(c10::StreamId id) { return c10::Stream(c10::Stream::UNSAFE, strict_device, id); }
};

// A generator of the device, so that one of the CPU is refused, as on a GPU.
struct StrictGenerator final : c10::GeneratorImpl {
  at::Generator numbers;

  explicit StrictGenerator(at::Generator cpu)
      : c10::GeneratorImpl(strict_device, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
        numbers(std::move(cpu)) {}
  void set_current_seed(uint64_t seed) override { numbers.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { numbers.set_offset(offset); }
  uint64_t get_offset() const override { return numbers.get_offset(); }
  uint64_t current_seed() const override { return numbers.current_seed(); }
  uint64_t seed() override { return numbers.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    numbers.set_state(Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim_copy(const_cast<c10::TensorImpl*>(&state))));
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return numbers.get_state().getIntrusivePtr(); }
  StrictGenerator* clone_impl() const override { return new StrictGenerator(numbers.clone()); }
};
at::Generator generator_of(at::Generator cpu) { return at::make_generator<StrictGenerator>(std::move(cpu)); }

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  bool isPinnedPtr(const void* data) const override { return strict::is_pinned(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return strict::pinned_memory(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return generator_of(at::detail::createCPUGenerator());
  }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator shared = generator_of(at::detail::createCPUGenerator());
    return shared;
  }
};

// ---- tensors of the device and of the CPU over the same memory ----

Tensor tensor_over(c10::Storage storage, c10::DispatchKey key, const Tensor& like) {
  Tensor t = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  t.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.is_neg()) t._set_neg(true);
  if (like.is_conj()) t._set_conj(true);
  return t;
}

// As the GPUs of Macs refuse it.
void expect_dtype(at::ScalarType dtype) {
  TORCH_CHECK_TYPE(dtype != at::kDouble || !strict::lacks.float64, "The strict device has no float64 now.");
}

bool is_strict(const Tensor& t) { return t.device().type() == strict_type; }

// The CPU's view of the arguments of one call. Arguments that share memory share it here too.
struct HostArguments {
  struct Shared {
    c10::Storage device, host;
  };
  std::unordered_map<const c10::StorageImpl*, Shared> storages;  // by the storage on the device
  std::vector<std::pair<Tensor, Tensor>> written;                // on the device, and the CPU's

  Tensor host(const Tensor& t) {
    if (!t.defined() || !is_strict(t)) return t;
    const auto* key = t.storage().unsafeGetStorageImpl();
    auto found = storages.find(key);
    if (found == storages.end())
      found =
          storages.emplace(key, Shared{t.storage(), storage_over(t.storage(), c10::kCPU, c10::GetAllocator(c10::kCPU))})
              .first;
    return tensor_over(found->second.host, c10::DispatchKey::CPU, t);
  }

  // A result of the CPU on the device: a view of an argument, or memory of its own.
  Tensor device(const Tensor& result) const {
    if (!result.defined()) return result;
    TORCH_CHECK(result.layout() == at::kStrided, "The strict device has dense tensors only.");
    for (const auto& [key, shared] : storages)
      if (shared.host.unsafeGetStorageImpl() == result.storage().unsafeGetStorageImpl())
        return tensor_over(shared.device, c10::DispatchKey::PrivateUse1, result);
    expect_dtype(result.scalar_type());
    const c10::Storage made = strict::take_over(result.storage());
    strict::record_memory(made);
    return tensor_over(made, c10::DispatchKey::PrivateUse1, result);
  }

  // Tensors that the kernel gave another size or other memory.
  void finish() const {
    for (const auto& [own, host] : written) {
      const bool moved = own.numel() > 0 && own.const_data_ptr() != host.const_data_ptr();
      if (own.sizes() == host.sizes() && own.strides() == host.strides() && !moved) continue;
      at::native::resize_(own, host.sizes(), std::nullopt);
      HostArguments again;
      again.host(own).copy_(host);
    }
  }
};

// ---- the fallback of all operators ----

bool takes_host_scalars(const c10::OperatorHandle& op) {
  static const std::unordered_set<std::string> others = {"aten::fill_",        "aten::masked_fill",
                                                         "aten::masked_fill_", "aten::index_fill_",
                                                         "aten::index_put_",   "aten::_index_put_impl_"};
  return op.hasTag(at::Tag::pointwise) || others.count(op.schema().name()) != 0;
}

void expect_strict(const c10::OperatorHandle& op, size_t position, const Tensor& t) {
  if (!t.defined() || is_strict(t)) return;
  const auto& argument = op.schema().arguments()[position];
  const bool written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
  if (t.is_cpu() && t.dim() == 0 && !written && takes_host_scalars(op)) return;
  TORCH_CHECK(false, "Expected all tensors of ", op.schema().name(), " on ", strict_device, ", got `", argument.name(),
              "` of shape ", t.sizes(), " on ", t.device(), ". Copy it with `.to({ device })`.");
}

bool has_boolean_index(const Stack& arguments) {
  for (const IValue& value : arguments) {
    if (!value.isOptionalTensorList()) continue;
    for (const std::optional<Tensor> index : value.toOptionalTensorList())
      if (index && index->defined() && (index->scalar_type() == at::kBool || index->scalar_type() == at::kByte))
        return true;
  }
  return false;
}

bool waits_for_device(const c10::OperatorHandle& op, const Stack& arguments) {
  const std::string& name = op.schema().name();
  if (name == "aten::index" || name == "aten::index_put_" || name == "aten::_index_put_impl_" ||
      name == "aten::_unsafe_index")
    return has_boolean_index(arguments);
  return op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape);
}

bool lacks_operator(const c10::OperatorHandle& op) {
  if (!strict::lacks.any) return false;
  const std::lock_guard<std::mutex> lock(strict::lacks.mutex);
  return strict::lacks.operators.count(op.schema().name()) != 0;
}

void compute(const c10::OperatorHandle& op, c10::DispatchKeySet, Stack* stack) {
  // As libtorch warns of an operator that the GPU of a Mac lacks.
  if (lacks_operator(op))
    TORCH_WARN_ONCE("The operator '", op.schema().operator_name(), "' is not currently supported ",
                    "on the strict backend and will fall back to run on the CPU.",
                    " This may have performance implications.");
  const auto count = static_cast<int64_t>(op.schema().arguments().size());
  counts.operators++;
  const Stack arguments(stack->end() - count, stack->end());
  stack->erase(stack->end() - count, stack->end());
  if (waits_for_device(op, arguments)) strict::note_wait(op.schema().name().c_str());
  const Stack results = strict::run_operator(op, arguments);
  strict::record_operator(op, arguments, results);
  stack->insert(stack->end(), results.begin(), results.end());
}

// ---- creation, views, copies ----

Tensor recorded(Tensor made) {
  strict::record_memory(made.storage());
  return made;
}

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  expect_dtype(c10::dtype_or_default(dtype));
  return recorded(at::detail::empty_generic(size, &strict::memory(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                            c10::dtype_or_default(dtype), format));
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  expect_dtype(c10::dtype_or_default(dtype));
  return recorded(at::detail::empty_strided_generic(size, stride, &strict::memory(),
                                                    c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                                    c10::dtype_or_default(dtype)));
}

// Whether the host need not wait for a copy to the device, as its memory is pinned. A wait is counted here.
bool copies_later([[maybe_unused]] const Tensor& from, [[maybe_unused]] bool non_blocking) {
#ifdef TUNESMITH_HAS_ACCELERATOR
  if (from.numel() == 0) return false;
  if (non_blocking && strict::is_pinned(from.const_data_ptr())) return true;
  strict::note_wait("a copy from memory that is not pinned");
#endif
  return false;
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool non_blocking) {
  if (is_strict(from) && !is_strict(to)) {
    counts.downloads++;
    strict::note_wait("a copy to the host");
  } else if (!is_strict(from)) {
    counts.uploads++;
    if (copies_later(from, non_blocking)) {
      if (strict::capturing())
        strict::record_copy(from, to);
      else
        strict::enqueue_upload(from, to);
      return to;
    }
  }
  strict::finish_uploads();
  strict::record_copy(from, to);
  HostArguments host;
  host.host(to).copy_(host.host(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  at::native::resize_(to, from.sizes(), std::nullopt);
  return copy_from(from, to, false);
}

Tensor as_strided(const Tensor& t, at::IntArrayRef size, at::IntArrayRef stride, std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(t, size, stride, offset);
}
Tensor view(const Tensor& t, at::IntArrayRef size) { return at::native::view(t, size); }
Tensor reshape_alias(const Tensor& t, at::IntArrayRef size, at::IntArrayRef stride) {
  return at::native::_reshape_alias(t, size, stride);
}
const Tensor& resize_in_place(const Tensor& t, at::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  return at::native::resize_(t, size, format);
}

// Resizing takes this way in deterministic mode, to fill what was not there before.
Tensor& set_storage(Tensor& t, c10::Storage storage, int64_t offset, at::IntArrayRef size, at::IntArrayRef stride) {
  auto* impl = t.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(std::move(storage));
  impl->set_sizes_and_strides(size, stride, offset);
  return t;
}

// ---- the interface to JavaScript ----

// enableStrictDevice(): the device `strict` exists from now on, in the whole process
TUNESMITH_FUNCTION(enable_strict_device) {
  return guarded(env, [&] {
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    if (enabled) return make_undefined(env);
    static const c10::impl::DeviceGuardImplRegistrar guard(strict_type, new Guard);
    static Hooks hooks;
    c10::register_privateuse1_backend("strict");
    strict::register_memory();
    at::RegisterPrivateUse1HooksInterface(&hooks);
    strict::register_graphs();
    enabled = true;
    return make_undefined(env);
  });
}

// setStrictMemory(bytes?): the memory of the device; for none, that of the machine
TUNESMITH_FUNCTION(set_strict_memory) {
  return guarded(env, [&] {
    Arguments a(env, info);
    napi_valuetype type;
    napi_typeof(env, a[0], &type);
    strict::set_limit(type == napi_undefined ? SIZE_MAX : static_cast<size_t>(read_int(env, a[0], "bytes")));
    return make_undefined(env);
  });
}

// limitStrictDevice(float64 boolean, operators string[]): what the device has, and which operators it lacks
TUNESMITH_FUNCTION(limit_strict_device) {
  return guarded(env, [&] {
    Arguments a(env, info);
    uint32_t count = 0;
    napi_get_array_length(env, a[1], &count);
    const std::lock_guard<std::mutex> lock(strict::lacks.mutex);
    strict::lacks.operators.clear();
    for (uint32_t i = 0; i < count; i++) {
      napi_value name;
      napi_get_element(env, a[1], i, &name);
      strict::lacks.operators.insert(read_string(env, name, "operators"));
    }
    strict::lacks.any = count > 0;
    strict::lacks.float64 = !read_bool(env, a[0], "float64");
    if (count > 0) count_fallbacks();
    return make_undefined(env);
  });
}

// strictDevice() -> undefined before it is enabled, else what it has counted since the start
TUNESMITH_FUNCTION(strict_device_counts) {
  return guarded(env, [&] {
    if (!enabled) return make_undefined(env);
    napi_value result;
    napi_create_object(env, &result);
    const auto set = [&](const char* name, const std::atomic<int64_t>& value) {
      set_field(env, result, name, make_number(env, static_cast<double>(value.load())));
    };
    set("operators", counts.operators);
    set("waits", counts.waits);
    set("uploads", counts.uploads);
    set("downloads", counts.downloads);
    set("emptied", counts.emptied);
    set("captures", counts.captures);
    set("replays", counts.replays);
    return result;
  });
}

}  // namespace

Stack strict::run_operator(const c10::OperatorHandle& op, const Stack& arguments) {
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size();
  Stack results;
  Stack* stack = &results;
  HostArguments host;
  const auto converted = [&](size_t i, const Tensor& t) {
    expect_strict(op, i, t);
    const Tensor result = host.host(t);
    const auto* alias = schema.arguments()[i].alias_info();
    if (t.defined() && alias != nullptr && alias->isWrite()) host.written.emplace_back(t, result);
    return result;
  };
  for (size_t i = 0; i < count; i++) {
    const IValue& value = arguments[i];
    if (value.isTensor()) {
      stack->push_back(converted(i, value.toTensor()));
    } else if (value.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : value.toTensorList()) list.push_back(converted(i, t));
      stack->push_back(std::move(list));
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<Tensor>> list;
      for (const std::optional<Tensor> t : value.toOptionalTensorList())
        list.push_back(t ? std::optional<Tensor>(converted(i, *t)) : std::nullopt);
      stack->push_back(std::move(list));
    } else if (value.isDevice()) {
      stack->push_back(value.toDevice().type() == strict_type ? c10::Device(c10::kCPU) : value.toDevice());
    } else if (value.isGenerator()) {
      const at::Generator& generator = value.toGenerator();
      TORCH_CHECK(generator.device().type() == strict_type, "Expected a generator of ", strict_device, " for ",
                  schema.name(), ", got one of ", generator.device(),
                  ". Sample on the CPU and copy the tensor, so that the numbers are the same on every device.");
      stack->push_back(static_cast<StrictGenerator*>(generator.unsafeGetGeneratorImpl())->numbers);
    } else {
      stack->push_back(value);
    }
  }
  finish_uploads();
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  host.finish();
  const size_t returns = schema.returns().size();
  const size_t first = stack->size() - returns;
  for (size_t i = 0; i < returns; i++) {
    IValue& result = (*stack)[first + i];
    const auto* alias = schema.returns()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) {
      for (size_t j = 0; j < count; j++) {
        const auto* own = schema.arguments()[j].alias_info();
        if (own == nullptr || own->beforeSets() != alias->beforeSets()) continue;
        result = arguments[j];
        break;
      }
    } else if (result.isTensor()) {
      result = host.device(result.toTensor());
    } else if (result.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : result.toTensorList()) list.push_back(host.device(t));
      result = std::move(list);
    }
  }
  return results;
}

Tensor strict::alias(const Tensor& t) { return tensor_over(t.storage(), c10::DispatchKey::PrivateUse1, t); }

Tensor strict::host_view(const Tensor& t) { return HostArguments().host(t); }

std::vector<Export> strict_device_exports() {
  return {{"enableStrictDevice", enable_strict_device},
          {"setStrictMemory", set_strict_memory},
          {"limitStrictDevice", limit_strict_device},
          {"strictDevice", strict_device_counts}};
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("as_strided", &as_strided);
  m.impl("view", &view);
  m.impl("_reshape_alias", &reshape_alias);
  m.impl("resize_", &resize_in_place);
  m.impl("set_.source_Storage_storage_offset", &set_storage);
}

}  // namespace tunesmith
