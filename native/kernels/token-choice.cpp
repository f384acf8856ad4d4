// tunesmith::choose_tokens: the next token of each row and, where they are wanted, its log-probability, from logits:
// the most likely token, or one sampled at a temperature by a random number of the caller's, which are on the CPU as
// the caller computes them. No gradient.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.h"
#include "plain/plain.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;

// Loops over the vocabulary, compiled for several widths of vectors. This file is compiled without fused multiply-adds,
// and sums are in an order that is written out, so that the choice does not depend on the processor.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define TUNESMITH_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TUNESMITH_WIDE
#endif

constexpr int64_t lanes = 8, block = 512;

// The first of the most likely tokens. A NaN is never the highest, unless it is the first.
TUNESMITH_WIDE int64_t most_likely(const float* logits, int64_t count) {
  constexpr int64_t width = 32;
  float tops[width];
  for (int64_t lane = 0; lane < width; lane++) tops[lane] = logits[0];
  int64_t i = 0;
  for (; i + width <= count; i += width)
    for (int64_t lane = 0; lane < width; lane++)
      tops[lane] = logits[i + lane] > tops[lane] ? logits[i + lane] : tops[lane];
  for (; i < count; i++) tops[0] = logits[i] > tops[0] ? logits[i] : tops[0];
  float top = tops[0];
  for (int64_t lane = 0; lane < width; lane++) top = tops[lane] > top ? tops[lane] : top;
  for (i = 0; i < count; i++)
    if (logits[i] == top) return i;
  return 0;
}

// exp(x) of x up to 0, within 2e-16 of its value: 2^n by its exponent times a series. Below -708 it is 0.
inline double exponential(double x) {
  constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const double shifted = x * 1.4426950408889634 + magic, n = shifted - magic;
  // The first part of log(2) has 20 zeros at its end: times n it is exact.
  const double f = x - n * 0.6931471803691238 - n * 1.9082149292705877e-10;
  double p = 1.0 / 6227020800;
  p = p * f + 1.0 / 479001600;
  p = p * f + 1.0 / 39916800;
  p = p * f + 1.0 / 3628800;
  p = p * f + 1.0 / 362880;
  p = p * f + 1.0 / 40320;
  p = p * f + 1.0 / 5040;
  p = p * f + 1.0 / 720;
  p = p * f + 1.0 / 120;
  p = p * f + 1.0 / 24;
  p = p * f + 1.0 / 6;
  p = p * f + 0.5;
  p = p * f + 1;
  p = p * f + 1;
  uint64_t bits, power;
  __builtin_memcpy(&bits, &p, sizeof bits);
  __builtin_memcpy(&power, &shifted, sizeof power);
  bits += power << 52;
  double result;
  __builtin_memcpy(&result, &bits, sizeof result);
  result = x < -708 ? 0 : result;
  return x == x ? result : x;
}

// The weight of each token of a block beside the most likely one, and their sum.
TUNESMITH_WIDE double weigh(const float* logits, int64_t count, double temperature, double top, double* weights) {
  for (int64_t i = 0; i < count; i++) {
    const float heated = float(double(logits[i]) / temperature);
    const double weight = exponential(double(heated) - top);
    weights[i] = heated == -INFINITY ? 0 : weight;
  }
  for (int64_t i = count; i < (count + lanes - 1) / lanes * lanes; i++) weights[i] = 0;
  double sums[lanes] = {};
  for (int64_t i = 0; i < count; i += lanes)
    for (int64_t lane = 0; lane < lanes; lane++) sums[lane] += weights[i + lane];
  double sum = 0;
  for (int64_t lane = 0; lane < lanes; lane++) sum += sums[lane];
  return sum;
}

// The token at which the sum of the probabilities, in the order of the vocabulary, exceeds `uniform`. In double
// precision.
int64_t sample(const float* logits, int64_t count, double temperature, double uniform, std::vector<double>& work) {
  const int64_t blocks = (count + block - 1) / block;
  work.resize(size_t(blocks * (block + 1)));
  double *weights = work.data(), *sums = weights + blocks * block;
  const double top = float(double(logits[most_likely(logits, count)]) / temperature);
  double sum = 0;
  for (int64_t i = 0; i < blocks; i++) {
    const int64_t first = i * block;
    sums[i] = weigh(logits + first, std::min(block, count - first), temperature, top, weights + first);
    sum += sums[i];
  }
  double left = uniform * sum;
  for (int64_t i = 0; i < blocks; i++) {
    if (left - sums[i] >= 0) {
      left -= sums[i];
      continue;
    }
    for (int64_t t = i * block; t < std::min(count, (i + 1) * block); t++) {
      left -= weights[t];
      if (weights[t] != 0 && left < 0) return t;
    }
  }
  // Rounding has left something.
  for (int64_t t = count - 1; t > 0; t--)
    if (weights[t] != 0) return t;
  return 0;
}

std::tuple<Tensor, Tensor> choose_tokens(const Tensor& given_logits, const Tensor& given_temperatures,
                                         const Tensor& given_uniforms, bool logged) {
  check_values(given_logits, "choose_tokens", "logits");
  TORCH_CHECK(given_logits.scalar_type() == at::kFloat && given_logits.dim() == 2 && given_logits.size(1) > 0,
              "Expected float32 [B,V] as `logits` of tunesmith::choose_tokens, got ", given_logits.scalar_type(), " ",
              given_logits.sizes(), ".");
  const int64_t rows = given_logits.size(0), count = given_logits.size(1);
  for (const Tensor* numbers : {&given_temperatures, &given_uniforms})
    TORCH_CHECK(numbers->device().is_cpu() && numbers->scalar_type() == at::kDouble && numbers->dim() == 1 &&
                    numbers->size(0) == rows,
                "Expected float64 [", rows, "] as `temperatures` and `uniforms` of tunesmith::choose_tokens, got ",
                numbers->scalar_type(), " ", numbers->sizes(), ".");
  const Tensor logits = given_logits.contiguous(), temperatures = given_temperatures.contiguous(),
               uniforms = given_uniforms.contiguous();
  const double* heat = temperatures.const_data_ptr<double>();
  for (int64_t r = 0; r < rows; r++)
    TORCH_CHECK(heat[r] >= 0 && std::isfinite(heat[r]),
                "Expected temperatures of at least 0 for tunesmith::choose_tokens, got ", heat[r], " in row ", r, ".");
  if (!logits.is_cpu()) return plain::choose_tokens(logits, temperatures, uniforms, logged);
  Tensor ids = at::empty({rows}, at::kLong);
  give_planned_values(ids);
  Tensor log_probs = at::empty({logged ? rows : 0}, at::kFloat);
  const float* values = logits.const_data_ptr<float>();
  const double* chances = uniforms.const_data_ptr<double>();
  int64_t* chosen = ids.mutable_data_ptr<int64_t>();
  float* log_prob = logged ? log_probs.mutable_data_ptr<float>() : nullptr;
  over_values(0, rows, 1, [&](int64_t first, int64_t last) {
    std::vector<double> work;
    for (int64_t r = first; r < last; r++) {
      const float* row = values + r * count;
      const bool greedy = heat[r] == 0;
      chosen[r] = greedy ? most_likely(row, count) : sample(row, count, heat[r], chances[r], work);
      if (!logged) continue;
      // As in token_log_probs, so that the training forward gets the same bits from the same logits.
      const LogProbRow job{count, chosen[r], greedy ? 1.0f : float(1 / heat[r]), false, 1.0f};
      log_prob[r] = kernels().log_prob_row(job, const_cast<float*>(row), Type::float32).log_prob;
    }
  });
  return {ids, log_probs};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // Without `logged` there are no log-probabilities: [0].
  m.def(
      "choose_tokens(Tensor logits, Tensor temperatures, Tensor uniforms, bool logged=True) -> (Tensor ids, Tensor "
      "log_probs)",
      &choose_tokens);
}

}  // namespace tunesmith
