// Chooses the kernel table once, by the features of the processor.
#include "table.h"

#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace tunesmith {
namespace baseline {
const Kernels& table();
}
#if defined(__x86_64__)
namespace avx2 {
const Kernels& table();
}
namespace avx512 {
const Kernels& table();
}
namespace avx512bf16 {
const Kernels& table();
}
namespace emulated {
const Kernels& table();
}
#elif defined(__aarch64__)
namespace dotprod {
const Kernels& table();
}
namespace i8mm {
const Kernels& table();
}
#endif

// TUNESMITH_ISA names a table, or one with matrix tiles: `amx` is avx512bf16 with tiles, `emulated-amx` emulates both.
static const char* wanted_table() {
  const char* wanted = std::getenv("TUNESMITH_ISA");
  return wanted == nullptr || *wanted == 0 ? nullptr : wanted;
}

#if defined(__aarch64__)
enum class ArmFeature { dot_products, byte_matrices, bfloat16 };

static bool has_feature(ArmFeature feature) {
#if defined(__linux__)
  // @source Linux, arch/arm64/include/uapi/asm/hwcap.h
  switch (feature) {
    case ArmFeature::dot_products: return (getauxval(AT_HWCAP) & 1ul << 20) != 0;
    case ArmFeature::byte_matrices: return (getauxval(AT_HWCAP2) & 1ul << 13) != 0;
    case ArmFeature::bfloat16: return (getauxval(AT_HWCAP2) & 1ul << 14) != 0;
  }
  return false;
#elif defined(__APPLE__)
  // libtorch has no fast products of bf16 there, with the instructions or without.
  if (feature == ArmFeature::bfloat16) return false;
  int there = 0;
  size_t size = sizeof(there);
  const bool dots = feature == ArmFeature::dot_products;
  const char* name = dots ? "hw.optional.arm.FEAT_DotProd" : "hw.optional.arm.FEAT_I8MM";
  return sysctlbyname(name, &there, &size, nullptr, 0) == 0 && there != 0;
#else
  return false;
#endif
}
#endif

static const Kernels& choose() {
  const char* wanted = wanted_table();
  auto allowed = [&](const char* name) { return wanted == nullptr || std::strcmp(wanted, name) == 0; };
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (wanted != nullptr && std::strncmp(wanted, "emulated", 8) == 0 && has_avx2) return emulated::table();
  const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
  if (has_vnni && has_native_bfloat16() && (allowed("avx512bf16") || allowed("amx"))) return avx512bf16::table();
  if (has_avx512 && allowed("avx512")) return avx512::table();
  if (has_avx2 && allowed("avx2")) return avx2::table();
  if (wanted != nullptr && !allowed("baseline") && has_avx2) return avx2::table();
#elif defined(__aarch64__)
  const bool dots = has_feature(ArmFeature::dot_products);
  if (dots && has_feature(ArmFeature::byte_matrices) && allowed("i8mm")) return i8mm::table();
  if (dots && allowed("dotprod")) return dotprod::table();
#endif
  (void)allowed;
  return baseline::table();
}

// By cpuid, since compilers before GCC 11 lack the name of this feature.
static bool ask_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx512f") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 5)) != 0;
#elif defined(__aarch64__)
  return has_feature(ArmFeature::bfloat16);
#else
  return false;
#endif
}

bool has_native_bfloat16() {
  static const bool native = ask_processor();
  return native;
}

static bool ask_for_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned of_bf16 = 1u << 22, tiles = 1u << 24, of_int8 = 1u << 25, needed = of_bf16 | tiles | of_int8;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & needed) != needed) return false;
  // Linux gives a process the state of tiles when it asks for it. @source Documentation/arch/x86/xstate.rst
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

bool has_matrix_tiles() {
  static const bool usable = ask_for_tiles();
  return usable;
}

bool matrix_tiles() {
  static const bool chosen = [] {
    const char* wanted = wanted_table();
    if (wanted != nullptr && std::strcmp(wanted, "emulated-amx") == 0) return true;
    return (wanted == nullptr || std::strcmp(wanted, "amx") == 0) && has_matrix_tiles();
  }();
  return chosen;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

static std::atomic<bool> invariant{false};

bool batch_invariant() { return invariant.load(std::memory_order_relaxed); }

static bool set_batch_invariant(bool on) { return invariant.exchange(on); }

static int64_t vector_lanes() { return kernels().lanes; }

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // Number of floats in a vector of the chosen table, for tests and `doctor`.
  m.def("vector_lanes() -> int", &vector_lanes);
  m.def("matrix_tiles() -> bool", &matrix_tiles);
  m.def("set_batch_invariant(bool on) -> bool", &set_batch_invariant);
  m.def("batch_invariant() -> bool", &batch_invariant);
}

}  // namespace tunesmith
