// The CPU allocator of libtorch in this process: caches large freed blocks (new pages cost about 1 ms per MB), counts
// memory in use, enforces a limit, and reports a full machine as an error before the kernel kills the process.
#include "binding.h"
#include "block-cache.h"
#include "planning.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tunesmith {
namespace {

constexpr size_t header_bytes = 64;  // keeps the data aligned to a cache line
constexpr size_t huge_page_bytes = size_t{2} << 20;
constexpr size_t check_from_bytes = size_t{64} << 20;  // new blocks from this size on are checked against free memory

struct Header {
  size_t bytes;     // size of the block without its header
  int64_t planned;  // its number in a plan, or 0
};

// Available memory in bytes: free and reclaimable, within the container's limit where there is one.
size_t available_bytes() {
  size_t available = SIZE_MAX;
  if (FILE* file = std::fopen("/proc/meminfo", "r")) {
    char line[256];
    size_t kilobytes;
    while (std::fgets(line, sizeof line, file))
      if (std::sscanf(line, "MemAvailable: %zu kB", &kilobytes) == 1) {
        available = kilobytes * 1024;
        break;
      }
    std::fclose(file);
  }
  size_t limit = 0, current = 0;
  if (FILE* file = std::fopen("/sys/fs/cgroup/memory.max", "r")) {
    if (std::fscanf(file, "%zu", &limit) != 1) limit = 0;
    std::fclose(file);
  }
  if (limit > 0)
    if (FILE* file = std::fopen("/sys/fs/cgroup/memory.current", "r")) {
      if (std::fscanf(file, "%zu", &current) == 1 && limit > current) available = std::min(available, limit - current);
      std::fclose(file);
    }
  return available;
}

class CachingAllocator final : public c10::Allocator {
 public:
  static CachingAllocator& instance() {
    static auto* allocator = new CachingAllocator;
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::Device(c10::kCPU)};
    if (planning()) return planned_memory(bytes);
    void* data = take(bytes);
    return {data, data, &release, c10::Device(c10::kCPU)};  // the context must equal the data: ATen uses raw_allocate()
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* destination, const void* source, size_t count) const override {
    default_copy_data(destination, source, count);
  }

  void trim() {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks_.drop(0, std::free);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  }

  void set_limit(size_t bytes) { limit_ = bytes; }

  struct Statistics {
    size_t in_use, cached, peak, limit;
  };
  Statistics statistics() {
    std::lock_guard<std::mutex> lock(mutex_);
    return {blocks_.in_use, blocks_.cached, blocks_.peak, limit_};
  }
  void reset_peak() {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks_.peak = blocks_.in_use;
  }

 private:
  std::mutex mutex_;
  BlockCache blocks_;  // the memory of a block starts with a Header
  std::atomic<size_t> limit_{SIZE_MAX};

  static void fail(size_t bytes, const char* why) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "not enough memory: tried to allocate ", bytes, " bytes, ", why);
  }

  void* take(size_t bytes) {
    if (bytes >= (size_t{1} << 47)) fail(bytes, "more than an address can reach");
    const int64_t planned = plan_block(bytes);
    const size_t size = BlockCache::block_size(bytes);
    std::unique_lock<std::mutex> lock(mutex_);
    BlockCache::Block block = blocks_.reuse(size);
    if (block.base == nullptr) {
      make_room(bytes, size);
      block = {size, allocate_block(size)};
      if (block.base == nullptr && blocks_.cached > 0) {
        blocks_.drop(0, std::free);
        block.base = allocate_block(size);
      }
      if (block.base == nullptr) fail(bytes, "the system has no more");
      blocks_.count(size);
    }
    *static_cast<Header*>(block.base) = {block.size, planned};
    return static_cast<char*>(block.base) + header_bytes;
  }

  // Frees cached blocks for a new one. Throws where the limit or the system has no more.
  void make_room(size_t bytes, size_t size) {
    if (blocks_.in_use + size > limit_) fail(bytes, "over the limit set for this process");
    if (blocks_.in_use + blocks_.cached + size > limit_) blocks_.drop(limit_ - blocks_.in_use - size, std::free);
    if (size < check_from_bytes) return;
    size_t available = available_bytes();
    if (size > available && blocks_.cached > 0) {
      blocks_.drop(0, std::free);
      available = available_bytes();
    }
    if (size > available) fail(bytes, ("only " + std::to_string(available) + " are free").c_str());
  }

  static void* allocate_block(size_t size) {
    void* base = nullptr;
    const bool huge = size >= huge_page_bytes;
    if (posix_memalign(&base, huge ? huge_page_bytes : header_bytes, size + header_bytes) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
    if (huge) madvise(base, size + header_bytes, MADV_HUGEPAGE);
#endif
    return base;
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* base = static_cast<char*>(data) - header_bytes;
    const Header header = *static_cast<Header*>(base);
    if (header.planned != 0) unplan_block(header.planned);
    auto& self = instance();
    std::unique_lock<std::mutex> lock(self.mutex_);
    if (header.bytes >= BlockCache::large_bytes) {
      self.blocks_.release({header.bytes, base}, std::free);
      return;
    }
    self.blocks_.uncount(header.bytes);
    lock.unlock();
    std::free(base);
  }
};

TUNESMITH_FUNCTION(memory_statistics) {
  return guarded(env, [&] {
    const auto s = CachingAllocator::instance().statistics();
    napi_value result;
    napi_create_object(env, &result);
    set_field(env, result, "inUse", make_number(env, static_cast<double>(s.in_use)));
    set_field(env, result, "cached", make_number(env, static_cast<double>(s.cached)));
    set_field(env, result, "peak", make_number(env, static_cast<double>(s.peak)));
    set_field(env, result, "limit",
              s.limit == SIZE_MAX ? make_undefined(env) : make_number(env, static_cast<double>(s.limit)));
    set_field(env, result, "available", make_number(env, static_cast<double>(available_bytes())));
    return result;
  });
}

TUNESMITH_FUNCTION(set_memory_limit) {
  return guarded(env, [&] {
    Arguments a(env, info);
    napi_valuetype type;
    napi_typeof(env, a[0], &type);
    const int64_t bytes = type == napi_undefined ? 0 : read_int(env, a[0], "bytes");
    if (type != napi_undefined && bytes <= 0) throw ArgumentError("expected a positive number of bytes");
    CachingAllocator::instance().set_limit(type == napi_undefined ? SIZE_MAX : static_cast<size_t>(bytes));
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(trim_memory) {
  return guarded(env, [&] {
    CachingAllocator::instance().trim();
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(reset_peak_memory) {
  return guarded(env, [&] {
    CachingAllocator::instance().reset_peak();
    return make_undefined(env);
  });
}

}  // namespace

int64_t plan_number(const void* data) {
  return static_cast<const Header*>(static_cast<const void*>(static_cast<const char*>(data) - header_bytes))->planned;
}

void install_allocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    c10::SetCPUAllocator(&CachingAllocator::instance(), /*priority=*/1);
#ifdef __GLIBC__
    // oneDNN and MKL allocate scratch memory with malloc: keep it in the process too.
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
#ifndef _WIN32
    // ATen and oneDNN each cache 1,024 compiled bf16 products of about 0.5 MB, which grows by gigabytes with varying
    // numbers of rows. 128 are enough for the shapes of a step, and compiling one again is not measurable. Both read
    // the variables at first use.
    setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128", /*overwrite=*/0);
    setenv("LRU_CACHE_CAPACITY", "128", /*overwrite=*/0);
#endif
  });
}

std::vector<Export> memory_exports() {
  return {{"memoryStatistics", memory_statistics},
          {"setMemoryLimit", set_memory_limit},
          {"trimMemory", trim_memory},
          {"resetPeakMemory", reset_peak_memory}};
}

}  // namespace tunesmith
