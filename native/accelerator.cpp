// Accelerators: copies from pinned memory, memory statistics, and graphs, which are operators that are recorded once
// and then run again in one call. Only interfaces that all accelerators share, so no CUDA headers.
#include "accelerator.h"

#include "binding.h"
#include "fallbacks.h"

#include <ATen/Context.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>

#ifdef TUNESMITH_HAS_ACCELERATOR
#include <ATen/DeviceAccelerator.h>
#include <ATen/accelerator/Graph.h>
#include <ATen/core/GraphImplInterface.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#endif

namespace tunesmith {

at::Tensor upload(const at::Tensor& host, c10::Device device) {
  if (!host.device().is_cpu() || device.is_cpu() || host.numel() == 0) return host.to(device);
  // Its pinned memory is shared with the GPU, and reused at once when freed: the copy could read what came after.
  if (device.is_mps()) return host.to(device);
#ifdef TUNESMITH_HAS_ACCELERATOR
  // The pinned copy is freed here: its allocator waits for the device before it gives the memory to another tensor.
  const at::Tensor pinned = at::empty(host.sizes(), host.options().pinned_memory(true));
  pinned.copy_(host);
  return pinned.to(device, /*non_blocking=*/true);
#else
  return host.to(device);
#endif
}

bool has_float64(c10::Device device) {
#if __has_include(<c10/core/DeviceCapability.h>)
  try {
    const c10::impl::VirtualGuardImpl guard(device.type());
    return guard.getDeviceCapability(device).capability_data.supported_scalar_types.has_Double != 0;
  } catch (const c10::Error&) {
    // Not every backend says what it has.
  }
#endif
  return !device.is_mps();
}

void prepare_accelerators() {
  if (at::hasMPS()) count_fallbacks();
#ifndef _WIN32
  // cuBLAS has deterministic products with workspaces of a fixed size only, which it reads when it is first used:
  // before a run can ask for `deterministic`.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
#endif
}

namespace {

// upload(handle, device) -> handle
TUNESMITH_FUNCTION(upload_tensor) {
  return guarded_read(env, [&] {
    Arguments a(env, info);
    return make_tensor(env, upload(read_tensor(env, a[0]), c10::Device(read_string(env, a[1], "device"))));
  });
}

// hasFloat64(device) -> boolean
TUNESMITH_FUNCTION(device_has_float64) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, has_float64(c10::Device(read_string(env, a[0], "device"))));
  });
}

#ifdef TUNESMITH_HAS_ACCELERATOR

std::optional<c10::Device> current_accelerator() {
  const auto type = at::accelerator::getAccelerator(false);
  if (!type || at::accelerator::deviceCount() == 0) return std::nullopt;
  return c10::Device(*type, at::accelerator::getDeviceIndex());
}

// Null for the CPU, and for a device whose allocator has no statistics.
c10::DeviceAllocator* allocator_of(c10::Device device) {
  return device.is_cpu() ? nullptr : dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
}

c10::DeviceIndex index_of(c10::Device device) { return device.has_index() ? device.index() : c10::DeviceIndex(0); }

std::optional<c10::Device> read_device(napi_env env, napi_value value) {
  napi_valuetype type;
  napi_typeof(env, value, &type);
  if (type == napi_undefined) return current_accelerator();
  return c10::Device(read_string(env, value, "device"));
}

// Free memory and all memory of a device, in bytes. Of the memory that a Mac shares with its GPU, the latter is what
// the system recommends for it.
std::pair<size_t, size_t> memory_info(c10::DeviceAllocator& allocator, c10::Device device) {
  if (!device.is_mps()) return allocator.getMemoryInfo(index_of(device));
  const at::MPSHooksInterface& hooks = at::detail::getMPSHooks();
  const size_t total = hooks.getRecommendedMaxMemory(), used = hooks.getDriverAllocatedMemory();
  return {total > used ? total - used : 0, total};
}

constexpr auto all_sizes = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

// The limit of `setDeviceMemoryLimit`.
struct MemoryLimit {
  std::mutex mutex;
  std::atomic<bool> set{false};
  c10::DeviceAllocator* allocator = nullptr;
  c10::Device device{c10::kCPU};
  int64_t bytes = 0;
  // The allocator's own peak begins again when it is over the limit.
  int64_t earlier_peak = 0;

  int64_t peak() { return allocator->getDeviceStats(device.index()).allocated_bytes[all_sizes].peak; }
  void restart_peak() {
    earlier_peak = std::max(earlier_peak, peak());
    allocator->resetPeakStats(device.index());
  }
};
MemoryLimit memory_limit;

// setDeviceMemoryLimit(device, bytes | undefined) -> whether the memory of that device is counted. One device has a
// limit.
TUNESMITH_FUNCTION(set_device_memory_limit) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const c10::Device device(read_string(env, a[0], "device"));
    auto* allocator = allocator_of(device);
    napi_valuetype type;
    napi_typeof(env, a[1], &type);
    std::lock_guard<std::mutex> lock(memory_limit.mutex);
    memory_limit.set = false;
    if (allocator == nullptr) return make_bool(env, false);
    if (type == napi_undefined) return make_bool(env, true);
    at::globalContext().lazyInitDevice(device.type());
    memory_limit.allocator = allocator;
    memory_limit.device = c10::Device(device.type(), index_of(device));
    memory_limit.bytes = read_int(env, a[1], "bytes");
    memory_limit.restart_peak();
    memory_limit.set = true;
    return make_bool(env, true);
  });
}

// deviceMemory(device?) -> { device, inUse, cached, peak, free, total, limit } in bytes, of the accelerator for none;
// undefined for the CPU, without an accelerator, and for one without statistics
TUNESMITH_FUNCTION(device_memory) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const auto device = read_device(env, a[0]);
    auto* allocator = device ? allocator_of(*device) : nullptr;
    if (allocator == nullptr) return make_undefined(env);
    at::globalContext().lazyInitDevice(device->type());
    const c10::DeviceIndex index = index_of(*device);
    const auto statistics = allocator->getDeviceStats(index);
    const auto [free, total] = memory_info(*allocator, c10::Device(device->type(), index));
    const auto& allocated = statistics.allocated_bytes[all_sizes];
    std::lock_guard<std::mutex> lock(memory_limit.mutex);
    const bool limited = memory_limit.device == c10::Device(device->type(), index);
    napi_value result;
    napi_create_object(env, &result);
    const auto set = [&](const char* name, int64_t bytes) {
      set_field(env, result, name, make_number(env, static_cast<double>(bytes)));
    };
    set_field(env, result, "device", make_string(env, c10::Device(device->type(), index).str()));
    set("inUse", allocated.current);
    set("cached", statistics.reserved_bytes[all_sizes].current - allocated.current);
    set("peak", limited ? std::max(memory_limit.earlier_peak, allocated.peak) : allocated.peak);
    set("free", static_cast<int64_t>(free));
    set("total", static_cast<int64_t>(total));
    if (limited && memory_limit.set) set("limit", memory_limit.bytes);
    return result;
  });
}

// emptyDeviceCache(): gives memory that the accelerator's allocator keeps for reuse back to the device
TUNESMITH_FUNCTION(empty_device_cache) {
  return guarded(env, [&] {
    const auto device = current_accelerator();
    auto* allocator = device ? allocator_of(*device) : nullptr;
    if (allocator != nullptr && allocator->initialized()) allocator->emptyCache();
    return make_undefined(env);
  });
}

// resetDevicePeak(device): the peak of `deviceMemory` begins again from the memory in use
TUNESMITH_FUNCTION(reset_device_peak) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const auto device = read_device(env, a[0]);
    auto* allocator = device ? allocator_of(*device) : nullptr;
    if (allocator == nullptr) return make_undefined(env);
    at::globalContext().lazyInitDevice(device->type());
    std::lock_guard<std::mutex> lock(memory_limit.mutex);
    memory_limit.earlier_peak = 0;
    allocator->resetPeakStats(index_of(*device));
    return make_undefined(env);
  });
}

// ---- graphs ----

struct Capture {
  at::accelerator::Graph graph;
  // Of the thread before the capture, which needs a stream of its own.
  std::optional<c10::Stream> stream;

  void begin() {
    const auto device = current_accelerator();
    TORCH_CHECK(device.has_value(), "Expected an accelerator for a graph, got none. Compute without graphs.");
    at::accelerator::synchronizeDevice(device->index());
    const c10::Stream before = at::accelerator::getCurrentStream(device->index());
    const c10::impl::VirtualGuardImpl guard(device->type());
    at::accelerator::setCurrentStream(guard.getStreamFromGlobalPool(*device, false));
    stream = before;
    try {
      // Other threads may go on with calls that a capture forbids.
      graph.capture_begin({0, 0}, at::GraphCaptureMode::ThreadLocal);
    } catch (...) {
      restore();
      throw;
    }
  }

  void end() {
    try {
      graph.capture_end();
    } catch (...) {
      restore();
      throw;
    }
    restore();
  }

  void restore() {
    if (stream) at::accelerator::setCurrentStream(*stream);
    stream.reset();
  }
};

Capture& read_capture(napi_env env, napi_value value) {
  void* data;
  if (napi_get_value_external(env, value, &data) != napi_ok || data == nullptr) throw ArgumentError("expected a graph");
  return *static_cast<Capture*>(data);
}

// hasGraphs(device) -> whether libtorch has graphs of such devices
TUNESMITH_FUNCTION(has_graphs) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, at::has_graph_impl(c10::Device(read_string(env, a[0], "device")).type()));
  });
}

// beginGraph() -> external: operators of this thread are recorded until `endGraph`
TUNESMITH_FUNCTION(begin_graph) {
  return guarded(env, [&] {
    auto capture = std::make_unique<Capture>();
    capture->begin();
    const auto finalize = [](node_api_basic_env, void* data, void*) { delete static_cast<Capture*>(data); };
    napi_value result;
    check(env, napi_create_external(env, capture.get(), finalize, nullptr, &result), "a graph");
    capture.release();
    return result;
  });
}

// endGraph(external): the graph can be replayed
TUNESMITH_FUNCTION(end_graph) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_capture(env, a[0]).end();
    return make_undefined(env);
  });
}

// replayGraph(external): runs the recorded operators again, on the same memory
TUNESMITH_FUNCTION(replay_graph) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_capture(env, a[0]).graph.replay();
    return make_undefined(env);
  });
}

// freeGraph(external): frees the memory of a graph, whose operators cannot be replayed any more
TUNESMITH_FUNCTION(free_graph) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_capture(env, a[0]).graph.reset();
    return make_undefined(env);
  });
}

#endif

}  // namespace

#ifdef TUNESMITH_HAS_ACCELERATOR

LimitedMemory::LimitedMemory() {
  if (!memory_limit.set) return;
  std::lock_guard<std::mutex> lock(memory_limit.mutex);
  peak_before_ = memory_limit.peak();
  if (peak_before_ <= memory_limit.bytes) return;
  memory_limit.restart_peak();
  peak_before_ = memory_limit.peak();
}

void LimitedMemory::expect_within() const {
  if (!memory_limit.set) return;
  std::lock_guard<std::mutex> lock(memory_limit.mutex);
  const int64_t peak = memory_limit.peak();
  TORCH_CHECK_WITH(OutOfMemoryError, peak <= std::max(peak_before_, memory_limit.bytes), "not enough memory on ",
                   memory_limit.device.str(), ": tensors took ", peak, " bytes, over the limit of ", memory_limit.bytes,
                   " bytes set for this process");
}

#else

LimitedMemory::LimitedMemory() {}
void LimitedMemory::expect_within() const {}

#endif

std::vector<Export> accelerator_exports() {
  return {{"upload", upload_tensor},
          {"hasFloat64", device_has_float64},
#ifdef TUNESMITH_HAS_ACCELERATOR
          {"deviceMemory", device_memory},
          {"setDeviceMemoryLimit", set_device_memory_limit},
          {"emptyDeviceCache", empty_device_cache},
          {"resetDevicePeak", reset_device_peak},
          {"hasGraphs", has_graphs},
          {"beginGraph", begin_graph},
          {"endGraph", end_graph},
          {"replayGraph", replay_graph},
          {"freeGraph", free_graph}
#endif
  };
}

}  // namespace tunesmith
