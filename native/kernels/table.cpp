// Chooses the kernel table once, by the features of the processor.
#include "table.h"

#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

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

#define TUNESMITH_DECLARE_TABLE(isa) \
  namespace isa {                    \
  const Kernels& table();            \
  }

namespace tunesmith {
TUNESMITH_DECLARE_TABLE(baseline)
#if defined(__x86_64__)
TUNESMITH_DECLARE_TABLE(avx2)
TUNESMITH_DECLARE_TABLE(avx2vnni)
TUNESMITH_DECLARE_TABLE(avx512)
TUNESMITH_DECLARE_TABLE(avx512vnni)
TUNESMITH_DECLARE_TABLE(avx512bf16)
TUNESMITH_DECLARE_TABLE(emulated)
#elif defined(__aarch64__)
TUNESMITH_DECLARE_TABLE(dotprod)
TUNESMITH_DECLARE_TABLE(i8mm)
#endif

// TUNESMITH_ISA names one of `choices`.
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

#if defined(__x86_64__)
// By cpuid, since compilers before GCC 11 lack the names of these features. @source Intel's manual, CPUID leaf 7,
// subleaf 1
static bool has_later_feature(int bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << bit)) != 0;
}
#endif

static bool ask_processor() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && has_later_feature(5);
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

struct Choice {
  const char* name;  // of TUNESMITH_ISA
  bool usable;
  const Kernels& (*table)();
  bool with_tiles = false, by_name_only = false;
};

// The tables for this kind of processor, the fastest first. `amx` is avx512bf16 with matrix tiles.
static std::vector<Choice> choices() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni"), bf16 = vnni && has_native_bfloat16();
  return {{"amx", bf16 && has_matrix_tiles(), avx512bf16::table, true},
          {"avx512bf16", bf16, avx512bf16::table},
          {"avx512vnni", vnni, avx512vnni::table},
          {"avx512", avx512, avx512::table},
#if defined(TUNESMITH_AVX2_VNNI)
          {"avx2vnni", avx2 && has_later_feature(4), avx2vnni::table},
#endif
          {"avx2", avx2, avx2::table},
          {"baseline", true, baseline::table},
          {"emulated", avx2, emulated::table, false, true},
          {"emulated-amx", avx2, emulated::table, true, true}};
#elif defined(__aarch64__)
  const bool dots = has_feature(ArmFeature::dot_products);
  return {{"i8mm", dots && has_feature(ArmFeature::byte_matrices), i8mm::table},
          {"dotprod", dots, dotprod::table},
          {"baseline", true, baseline::table}};
#else
  return {{"baseline", true, baseline::table}};
#endif
}

static std::vector<std::string> usable_names() {
  std::vector<std::string> names;
  for (const Choice& choice : choices())
    if (choice.usable) names.emplace_back(choice.name);
  return names;
}

static Choice choose() {
  const char* wanted = wanted_table();
  for (const Choice& choice : choices())
    if (choice.usable && (wanted == nullptr ? !choice.by_name_only : std::strcmp(wanted, choice.name) == 0))
      return choice;
  TORCH_CHECK(false, "Expected one of ", c10::Join(", ", usable_names()), " in TUNESMITH_ISA on this processor, got ",
              std::string(wanted).substr(0, 40), ".");
}

static const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

bool matrix_tiles() { return chosen().with_tiles; }

const Kernels& kernels() {
  static const Kernels& table = chosen().table();
  return table;
}

static std::atomic<bool> invariant{false};

bool batch_invariant() { return invariant.load(std::memory_order_relaxed); }

static bool set_batch_invariant(bool on) { return invariant.exchange(on); }

static std::string instruction_set() { return chosen().name; }

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // The chosen table's name, and those that this processor runs: the fastest first, for tests only at the end.
  m.def("instruction_set() -> str", &instruction_set);
  m.def("instruction_sets() -> str[]", &usable_names);
  m.def("set_batch_invariant(bool on) -> bool", &set_batch_invariant);
  m.def("batch_invariant() -> bool", &batch_invariant);
}

}  // namespace tunesmith
