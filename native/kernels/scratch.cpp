// Keeps buffers up to a limit; a larger one is freed at the next smaller request.
#include "scratch.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tunesmith {
namespace {

constexpr int64_t keep_limit = int64_t(64) << 20;  // bytes
// From this size on, pages of the system's larger size: the panels of a product pass faster than a TLB of small ones.
constexpr int64_t large_from = int64_t(512) << 10, large_page = int64_t(2) << 20;

struct Buffer {
  float* data = nullptr;
  int64_t bytes = 0;
  ~Buffer() { std::free(data); }
};

}  // namespace

float* scratch(Scratch kind, int64_t count) {
  static thread_local Buffer buffers[int(Scratch::count)];
  Buffer& buffer = buffers[int(kind)];
  int64_t wanted = (count * int64_t(sizeof(float)) + 4095) / 4096 * 4096;
  if (wanted <= 0) wanted = 4096;
  if (buffer.bytes < wanted || (buffer.bytes > keep_limit && wanted < buffer.bytes / 2)) {
    std::free(buffer.data);
    buffer.data = nullptr;
    buffer.bytes = 0;
    const bool large = wanted >= large_from;
    if (large) wanted = (wanted + large_page - 1) / large_page * large_page;
    void* fresh = std::aligned_alloc(size_t(large ? large_page : 4096), size_t(wanted));
    if (fresh == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (large) madvise(fresh, size_t(wanted), MADV_HUGEPAGE);
#endif
    buffer.data = static_cast<float*>(fresh);
    buffer.bytes = wanted;
  }
  return buffer.data;
}

}  // namespace tunesmith
