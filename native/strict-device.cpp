// The strict device, for tests of the placement of tensors without a GPU: memory of its own and kernels of the CPU,
// which refuse an argument on another device. Only explicit copies move values. It counts operators, and what would
// make a GPU and the host wait for each other. It exists once it was enabled, and only tests do that.
#include "binding.h"

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
#include <unordered_map>
#include <unordered_set>

namespace tunesmith {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

constexpr auto strict_type = c10::DeviceType::PrivateUse1;
const c10::Device strict_device(strict_type, 0);

// What tests read: `waits` make the host wait for the device, `uploads` and `downloads` are copies of tensors.
struct Counts {
  std::atomic<int64_t> operators{0}, waits{0}, uploads{0}, downloads{0};
};
Counts counts;
std::atomic<bool> enabled{false};

// ---- device, memory, generator ----

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return strict_type; }
  c10::Device exchangeDevice(c10::Device device) const override { return device; }
  c10::Device getDevice() const override { return strict_device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream getNewStream(c10::Device device, int) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
};

// Memory of the CPU's allocator that is said to be on the strict device.
struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    c10::DataPtr memory = c10::GetAllocator(c10::kCPU)->allocate(bytes);
    void* data = memory.get();
    const auto deleter = memory.get_deleter();
    return {data, memory.release_context(), deleter, strict_device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};
Memory memory;

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

// A storage over the memory of another, on another device, which it keeps.
c10::Storage storage_over(const c10::Storage& other, c10::Device device, c10::Allocator* allocator) {
  auto* kept = new c10::Storage(other);
  c10::DataPtr data(kept->mutable_data(), kept, [](void* held) { delete static_cast<c10::Storage*>(held); }, device);
  return c10::Storage(c10::Storage::use_byte_size_t(), other.nbytes(), std::move(data), allocator, true);
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
    return tensor_over(storage_over(result.storage(), strict_device, &memory), c10::DispatchKey::PrivateUse1, result);
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

void compute(const c10::OperatorHandle& op, c10::DispatchKeySet, Stack* stack) {
  const auto& schema = op.schema();
  const size_t count = schema.arguments().size();
  counts.operators++;
  const Stack arguments(stack->end() - static_cast<int64_t>(count), stack->end());
  stack->erase(stack->end() - static_cast<int64_t>(count), stack->end());
  if (waits_for_device(op, arguments)) counts.waits++;
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
}

// ---- creation, views, copies ----

Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
             std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                     std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  if (is_strict(from) && !is_strict(to)) {
    counts.downloads++;
    counts.waits++;
  } else if (!is_strict(from)) {
    counts.uploads++;
  }
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
    c10::SetAllocator(strict_type, &memory);
    at::RegisterPrivateUse1HooksInterface(&hooks);
    enabled = true;
    return make_undefined(env);
  });
}

// strictDevice() -> undefined before it is enabled, else { operators, waits, uploads, downloads } since the start
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
    return result;
  });
}

}  // namespace

std::vector<Export> strict_device_exports() {
  return {{"enableStrictDevice", enable_strict_device}, {"strictDevice", strict_device_counts}};
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
}

}  // namespace tunesmith
