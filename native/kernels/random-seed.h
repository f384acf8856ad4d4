// Seeds and row keys of kernels with counter-based random numbers. The seed is sampled from a generator; the numbers of
// a row are a function of the seed and of the key of the row.
#pragma once
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>

#include <mutex>
#include <optional>

namespace tunesmith {

// Advances the generator (default: that of the CPU).
inline uint64_t draw_seed(const std::optional<at::Generator>& given) {
  auto* generator = at::get_generator_or_default<at::CPUGeneratorImpl>(given, at::detail::getDefaultCPUGenerator());
  std::lock_guard<std::mutex> lock(generator->mutex_);
  return generator->random64();
}

// Keys of `rows` rows as the kernels read them.
inline at::Tensor checked_keys(const at::Tensor& keys, int64_t rows, const char* op) {
  TORCH_CHECK(keys.scalar_type() == at::kLong && keys.numel() == rows, "Expected int64 keys of ", rows,
              " rows as `row_keys` of tunesmith::", op, ", got ", keys.scalar_type(), " ", keys.sizes(), ".");
  return keys.contiguous();
}

inline void check_probability(double p, const char* op) {
  TORCH_CHECK(p >= 0 && p < 1, "Expected a number from 0 to below 1 as the dropout of tunesmith::", op, ", got ", p,
              ".");
}

}  // namespace tunesmith
