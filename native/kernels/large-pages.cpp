// tunesmith::use_large_pages: asks the system to use large pages for a tensor's memory, so that reading it misses the
// TLB less often. It changes no element, and does nothing where the system has no such call.
#include "large-pages.h"

#include <torch/library.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>

namespace tunesmith {

bool use_large_pages(const at::Tensor& tensor) {
#if defined(__linux__)
  constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1
  constexpr uintptr_t large = uintptr_t(2) << 20;
  if (!tensor.defined() || !tensor.device().is_cpu() || !tensor.has_storage() || tensor.numel() == 0) return false;
  const auto start = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  // Rounded outwards: neighbours are usually weights too, and a smaller range could contain no whole page.
  const uintptr_t first = start / large * large, last = (start + tensor.nbytes() + large - 1) / large * large;
  bool done = true;
  for (uintptr_t page = first; page < last; page += large)
    done = madvise(reinterpret_cast<void*>(page), large, collapse) == 0 && done;
  return done;
#else
  (void)tensor;
  return false;
#endif
}

TORCH_LIBRARY_FRAGMENT(tunesmith, m) { m.def("use_large_pages(Tensor tensor) -> bool", &use_large_pages); }

}  // namespace tunesmith
