// Memory of the strict device: that of the CPU, counted and limited as that of a card, and pinned memory of the host,
// from which copies happen later than they are asked for, as on a stream.
#include "strict-device.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#ifdef TUNESMITH_HAS_ACCELERATOR
#include <ATen/core/CachingHostAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#endif

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <string>

namespace tunesmith::strict {
namespace {

// Memory in use and, with what is kept for reuse, reserved.
struct Usage {
  std::mutex mutex;
  size_t in_use = 0, peak = 0, reserved = 0, reserved_peak = 0, limit = SIZE_MAX;
};
Usage usage;

size_t machine_bytes() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}
size_t total_bytes() { return usage.limit == SIZE_MAX ? machine_bytes() : usage.limit; }

void take(size_t bytes) {
  std::lock_guard<std::mutex> lock(usage.mutex);
  // As CUDA's allocator words it.
  TORCH_CHECK_WITH(OutOfMemoryError, usage.in_use + bytes <= usage.limit, "strict out of memory. Tried to allocate ",
                   bytes, " bytes. The device has a limit of ", usage.limit, " bytes.");
  usage.in_use += bytes;
  usage.peak = std::max(usage.peak, usage.in_use);
  usage.reserved = std::max(usage.reserved, usage.in_use);
  usage.reserved_peak = std::max(usage.reserved_peak, usage.reserved);
}

void give(size_t bytes) {
  std::lock_guard<std::mutex> lock(usage.mutex);
  usage.in_use -= bytes;
}

// Memory of the CPU that a storage of the device has.
struct Held {
  c10::Storage host;
  size_t bytes;
};

c10::DataPtr held_memory(const c10::Storage& host) {
  const size_t bytes = host.nbytes();
  take(bytes);
  auto* held = new Held{host, bytes};
  const auto release = [](void* context) {
    auto* one = static_cast<Held*>(context);
    give(one->bytes);
    delete one;
  };
  return {held->host.mutable_data(), held, release, device};
}

#ifdef TUNESMITH_HAS_ACCELERATOR
using Base = c10::DeviceAllocator;
#else
using Base = c10::Allocator;
#endif

struct Memory final : Base {
  c10::DataPtr allocate(size_t bytes) override {
    auto* cpu = c10::GetAllocator(c10::kCPU);
    return held_memory(c10::Storage(c10::Storage::use_byte_size_t(), bytes, cpu->allocate(bytes), cpu, false));
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

#ifdef TUNESMITH_HAS_ACCELERATOR
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t = {0, 0}) override {
    std::lock_guard<std::mutex> lock(usage.mutex);
    usage.reserved = usage.in_use;
    counts.emptied++;
  }
  void recordStream(const c10::DataPtr&, c10::Stream) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
    std::lock_guard<std::mutex> lock(usage.mutex);
    c10::CachingDeviceAllocator::DeviceStats all;
    const auto set = [](c10::CachingAllocator::StatArray& values, size_t current, size_t peak) {
      auto& whole = values[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
      whole.current = static_cast<int64_t>(current);
      whole.peak = static_cast<int64_t>(peak);
    };
    set(all.allocated_bytes, usage.in_use, usage.peak);
    set(all.reserved_bytes, usage.reserved, usage.reserved_peak);
    return all;
  }
  void resetAccumulatedStats(c10::DeviceIndex) override {}
  void resetPeakStats(c10::DeviceIndex) override {
    std::lock_guard<std::mutex> lock(usage.mutex);
    usage.peak = usage.in_use;
    usage.reserved_peak = usage.reserved;
  }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
    std::lock_guard<std::mutex> lock(usage.mutex);
    const size_t total = total_bytes();
    return {total - std::min(total, usage.reserved), total};
  }
#endif
};

// Copies that the device has not done yet.
struct Uploads {
  std::mutex mutex;
  std::deque<std::function<void()>> waiting;
  std::atomic<uint64_t> asked{0}, done{0};
};
Uploads& uploads() {
  static auto* one = new Uploads;
  return *one;
}

#ifdef TUNESMITH_HAS_ACCELERATOR

struct Ranges {
  std::mutex mutex;
  std::map<uintptr_t, size_t> sizes;
};
Ranges& pinned_ranges() {
  static auto* one = new Ranges;
  return *one;
}

// libtorch's cache of pinned memory, which CUDA has too. An event is the number of copies that were asked for.
struct PinnedBlocks final : at::CachingHostAllocatorImpl<c10::Stream, uint64_t> {
 private:
  void allocate_host_memory(size_t size, void** data) override {
    TORCH_CHECK(posix_memalign(data, 64, size) == 0, "not enough memory: tried to pin ", size, " bytes");
    auto& ranges = pinned_ranges();
    std::lock_guard<std::mutex> lock(ranges.mutex);
    ranges.sizes[reinterpret_cast<uintptr_t>(*data)] = size;
  }
  void free_block(at::HostBlock<c10::Stream>* block) override {
    auto& ranges = pinned_ranges();
    std::lock_guard<std::mutex> lock(ranges.mutex);
    ranges.sizes.erase(reinterpret_cast<uintptr_t>(block->ptr_));
    std::free(block->ptr_);
  }
  void record_stream(std::optional<std::vector<uint64_t>>& events, c10::Stream) override {
    events->push_back(uploads().asked);
  }
  bool query_event(uint64_t& event) override { return event <= uploads().done; }
};

void free_pinned(void* block);
using PinnedMemory = at::CachingHostAllocatorInterface<PinnedBlocks, free_pinned>;
PinnedMemory& pinned() {
  static auto* one = new PinnedMemory;
  return *one;
}
void free_pinned(void* block) { pinned().free(block); }

#endif

}  // namespace

c10::Allocator& memory() {
  static auto* one = new Memory;
  return *one;
}

void register_memory() {
  c10::SetAllocator(type, &memory());
#ifdef TUNESMITH_HAS_ACCELERATOR
  at::setHostAllocator(type, &pinned());
#endif
}

c10::Storage storage_over(const c10::Storage& other, c10::Device where, c10::Allocator* allocator) {
  auto* kept = new c10::Storage(other);
  c10::DataPtr data(kept->mutable_data(), kept, [](void* held) { delete static_cast<c10::Storage*>(held); }, where);
  return c10::Storage(c10::Storage::use_byte_size_t(), other.nbytes(), std::move(data), allocator, true);
}

c10::Storage take_over(const c10::Storage& host) {
  return c10::Storage(c10::Storage::use_byte_size_t(), host.nbytes(), held_memory(host), &memory(), true);
}

void set_limit(size_t bytes) {
  std::lock_guard<std::mutex> lock(usage.mutex);
  usage.limit = bytes;
}

c10::Allocator* pinned_memory() {
#ifdef TUNESMITH_HAS_ACCELERATOR
  return &pinned();
#else
  return nullptr;
#endif
}

bool is_pinned([[maybe_unused]] const void* data) {
#ifdef TUNESMITH_HAS_ACCELERATOR
  auto& ranges = pinned_ranges();
  std::lock_guard<std::mutex> lock(ranges.mutex);
  const auto at = reinterpret_cast<uintptr_t>(data);
  auto after = ranges.sizes.upper_bound(at);
  return after != ranges.sizes.begin() && at - (--after)->first < after->second;
#else
  return false;
#endif
}

void enqueue_upload(const Tensor& from, const Tensor& to) {
  auto& all = uploads();
  std::lock_guard<std::mutex> lock(all.mutex);
  // Of the pinned tensor the copy has the address only, as a stream: it may be freed, and its memory used again.
  all.waiting.push_back(
      [source = const_cast<void*>(from.const_data_ptr()), sizes = from.sizes().vec(), strides = from.strides().vec(),
       options = from.options().pinned_memory(false),
       target = strict::alias(to)] { host_view(target).copy_(at::from_blob(source, sizes, strides, options)); });
  all.asked++;
#ifdef TUNESMITH_HAS_ACCELERATOR
  // As CUDA's copies do, so that the cache does not give the memory away before the copy.
  const auto& data = from.storage().data_ptr();
  pinned().record_event(data.get(), data.get_context(), c10::Stream(c10::Stream::UNSAFE, device, stream));
#endif
}

void finish_uploads() {
  auto& all = uploads();
  if (all.asked == all.done) return;
  std::lock_guard<std::mutex> lock(all.mutex);
  while (!all.waiting.empty()) {
    const auto copy = std::move(all.waiting.front());
    all.waiting.pop_front();
    copy();
    all.done++;
  }
}

}  // namespace tunesmith::strict
