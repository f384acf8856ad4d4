// The CPU allocator of libtorch in this process: caches the pages of large freed blocks (new ones cost about 1 ms per
// MB), counts memory in use, enforces a limit, and reports a full machine as an error before the kernel kills the
// process. Large blocks have addresses of their own: among malloc's they would leave gaps, which stay resident.
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

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace tunesmith {
namespace {

constexpr size_t header_bytes = BlockCache::header_bytes;  // keeps the data aligned to a cache line
constexpr size_t check_from_bytes = size_t{64} << 20;  // new blocks from this size on are checked against free memory

struct Header {
  size_t bytes;     // size of the block: as in BlockCache::block_size
  int64_t planned;  // its number in a plan, or 0
};

// The number in a file of a control group; `none` where there is no such file, or no number, as `max` stands for no
// limit.
size_t read_number(const std::string& path, size_t none) {
  size_t value = none;
  if (FILE* file = std::fopen(path.c_str(), "r")) {
    if (std::fscanf(file, "%zu", &value) != 1) value = none;
    std::fclose(file);
  }
  return value;
}

// Bytes of a control group that the kernel takes back when it needs memory: pages of files that were read, and its own
// caches.
size_t reclaimable_bytes(const std::string& group) {
  size_t bytes = 0;
  if (FILE* file = std::fopen((group + "/memory.stat").c_str(), "r")) {
    char name[64];
    size_t value;
    while (std::fscanf(file, "%63s %zu", name, &value) == 2)
      for (const char* kind : {"inactive_file", "active_file", "slab_reclaimable"})
        if (std::strcmp(name, kind) == 0) bytes += value;
    std::fclose(file);
  }
  return bytes;
}

// How the files of a version of control groups are called.
struct GroupFiles {
  const char* root;
  const char* limit;
  const char* current;
};
constexpr GroupFiles second_version{"/sys/fs/cgroup", "/memory.max", "/memory.current"};
constexpr GroupFiles first_version{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes"};

// What the limits of a group and of those around it leave. @param path of the group, from `/`
size_t left_by_groups(std::string path, const GroupFiles& files) {
  if (path == "/") path.clear();
  for (size_t left = SIZE_MAX;; path.resize(path.rfind('/'))) {
    const std::string group = files.root + path;
    const size_t limit = read_number(group + files.limit, SIZE_MAX);
    if (limit != SIZE_MAX) {
      const size_t current = read_number(group + files.current, 0);
      const size_t used = current - std::min(current, reclaimable_bytes(group));
      left = std::min(left, limit - std::min(limit, used));
    }
    if (path.empty()) return left;
  }
}

// What the control groups of this process leave: of the second version in a line `0::/path`, of the first
// `4:memory:/path`.
size_t left_by_groups() {
  size_t left = SIZE_MAX;
  if (FILE* file = std::fopen("/proc/self/cgroup", "r")) {
    char line[4096];
    while (std::fgets(line, sizeof line, file)) {
      line[std::strcspn(line, "\n")] = 0;
      const char* path = std::strchr(line, '/');
      if (path == nullptr) continue;
      if (std::strncmp(line, "0::", 3) == 0) left = std::min(left, left_by_groups(path, second_version));
      if (std::strstr(line, ":memory:") != nullptr) left = std::min(left, left_by_groups(path, first_version));
    }
    std::fclose(file);
  }
  return left;
}

// Available memory in bytes: free and reclaimable, within the limits of the container where there are any.
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
  return std::min(available, left_by_groups());
}

// Addresses that are reserved many at a time, without access until they get memory.
class MappedSpace final : public AddressSpace {
 public:
  uintptr_t reserve(size_t& bytes) override {
    // Less where the addresses of the process are limited.
    for (size_t many = std::max(bytes, size_t{256} << 30);; many = std::max(bytes, many / 2)) {
      // One huge page more, as it starts with one.
      void* base = mmap(nullptr, many + BlockCache::huge_page_bytes, PROT_NONE, flags, -1, 0);
      if (base != MAP_FAILED) {
        bytes = many;
        const auto address = reinterpret_cast<uintptr_t>(base) + BlockCache::huge_page_bytes - 1;
        return address / BlockCache::huge_page_bytes * BlockCache::huge_page_bytes;
      }
      if (many == bytes) return 0;
    }
  }
  bool commit(uintptr_t address, size_t bytes) override {
    void* memory = reinterpret_cast<void*>(address);
    if (mprotect(memory, bytes, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return true;
  }
  void release(uintptr_t address, size_t bytes) override {
    void* memory = reinterpret_cast<void*>(address);
    // Where this fails, as for a process with too many mappings, the memory can still be given back.
    if (mmap(memory, bytes, PROT_NONE, flags | MAP_FIXED, -1, 0) == MAP_FAILED) madvise(memory, bytes, MADV_DONTNEED);
  }

 private:
  static constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
};

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
    blocks_.drop(0);
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
  MappedSpace space_;
  BlockCache blocks_{space_};
  std::atomic<size_t> limit_{SIZE_MAX};

  static void fail(size_t bytes, const char* why) {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "not enough memory: tried to allocate ", bytes, " bytes, ", why);
  }

  void* take(size_t bytes) {
    if (bytes >= (size_t{1} << 47)) fail(bytes, "more than an address can reach");
    const int64_t planned = plan_block(bytes);
    const size_t size = BlockCache::block_size(bytes);
    std::unique_lock<std::mutex> lock(mutex_);
    if (blocks_.in_use + size > limit_) fail(bytes, "over the limit set for this process");
    if (!BlockCache::is_large(bytes) || !blocks_.fits(size)) make_room(bytes, size);
    void* base = BlockCache::is_large(bytes) ? take_large(size) : allocate_small(size);
    if (base == nullptr && blocks_.cached > 0) {
      blocks_.drop(0);
      base = BlockCache::is_large(bytes) ? take_large(size) : allocate_small(size);
    }
    if (base == nullptr) fail(bytes, "the system has no more");
    *static_cast<Header*>(base) = {size, planned};
    return static_cast<char*>(base) + header_bytes;
  }

  // Frees cached pages for new ones. Throws where the system has no more.
  void make_room(size_t bytes, size_t size) {
    if (blocks_.in_use + blocks_.cached + size > limit_) blocks_.drop(limit_ - blocks_.in_use - size);
    if (size < check_from_bytes) return;
    size_t available = available_bytes();
    if (size > available && blocks_.cached > 0) {
      blocks_.drop(0);
      available = available_bytes();
    }
    if (size > available) fail(bytes, ("only " + std::to_string(available) + " are free").c_str());
  }

  void* take_large(size_t size) { return reinterpret_cast<void*>(blocks_.take(size)); }

  void* allocate_small(size_t size) {
    void* base = nullptr;
    if (posix_memalign(&base, header_bytes, size + header_bytes) != 0) return nullptr;
    blocks_.count(size);
    return base;
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* base = static_cast<char*>(data) - header_bytes;
    const Header header = *static_cast<Header*>(base);
    if (header.planned != 0) unplan_block(header.planned);
    auto& self = instance();
    std::unique_lock<std::mutex> lock(self.mutex_);
    if (BlockCache::is_large(header.bytes)) {
      self.blocks_.give(reinterpret_cast<uintptr_t>(base), header.bytes);
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
    // numbers of rows. 32 are enough for the shapes of a micro-batch; those of earlier ones seldom come again, and
    // compiling one takes 0.4 ms. Both read the variables at first use.
    setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32", /*overwrite=*/0);
    setenv("LRU_CACHE_CAPACITY", "32", /*overwrite=*/0);
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
