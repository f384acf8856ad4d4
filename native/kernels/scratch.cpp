// Keeps buffers up to a limit; a larger one is freed at the next smaller request.
#include "scratch.h"

#include <cstdlib>
#include <new>

namespace tunesmith {
namespace {

constexpr int64_t keep_limit = int64_t(64) << 20;  // bytes

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
    void* fresh = std::aligned_alloc(4096, size_t(wanted));
    if (fresh == nullptr) throw std::bad_alloc();
    buffer.data = static_cast<float*>(fresh);
    buffer.bytes = wanted;
  }
  return buffer.data;
}

}  // namespace tunesmith
