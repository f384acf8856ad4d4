// Chooses the kernel table once, by what the processor can do.
#include "table.h"

#include <cstdlib>
#include <cstring>

namespace tunesmith {
namespace baseline { const Kernels& table(); }
#if defined(__x86_64__)
namespace avx2 { const Kernels& table(); }
namespace avx512 { const Kernels& table(); }
namespace avx512bf16 { const Kernels& table(); }
namespace emulated { const Kernels& table(); }
#endif

static const Kernels& choose() {
  const char* wanted = std::getenv("TUNESMITH_ISA");
  auto allowed = [&](const char* name) { return wanted == nullptr || *wanted == 0 || std::strcmp(wanted, name) == 0; };
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (wanted != nullptr && std::strcmp(wanted, "emulated") == 0 && has_avx2) return emulated::table();
  if (has_avx512 && __builtin_cpu_supports("avx512bf16") && allowed("avx512bf16")) return avx512bf16::table();
  if (has_avx512 && allowed("avx512")) return avx512::table();
  if (has_avx2 && allowed("avx2")) return avx2::table();
  if (wanted != nullptr && !allowed("baseline") && has_avx2) return avx2::table();
#endif
  (void)allowed;
  return baseline::table();
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace tunesmith
