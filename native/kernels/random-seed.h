// Samples a 64-bit seed from a generator, for kernels with counter-based random numbers.
#pragma once
#include <ATen/CPUGeneratorImpl.h>

#include <mutex>
#include <optional>

namespace tunesmith {

// Advances the generator (default: that of the CPU).
inline uint64_t draw_seed(const std::optional<at::Generator>& given) {
  auto* generator = at::get_generator_or_default<at::CPUGeneratorImpl>(given, at::detail::getDefaultCPUGenerator());
  std::lock_guard<std::mutex> lock(generator->mutex_);
  return generator->random64();
}

inline void check_probability(double p, const char* op) {
  TORCH_CHECK(p >= 0 && p < 1, "Expected a number from 0 to below 1 as the dropout of tunesmith::", op, ", got ", p,
              ".");
}

}  // namespace tunesmith
