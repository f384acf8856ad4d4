// tunesmith::choose_tokens: the next token of each row and, where they are wanted, its log-probability, from logits:
// the most likely token, or one sampled at a temperature by a random number of the caller's, which are on the CPU as
// the caller computes them. No gradient.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "checks.h"
#include "plain/plain.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;

// The first of the most likely tokens. A NaN is never the highest, unless it is the first.
int64_t most_likely(const float* logits, int64_t count) {
  constexpr int64_t lanes = 32;
  std::array<float, lanes> tops;
  tops.fill(logits[0]);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; lane++)
      tops[size_t(lane)] = logits[i + lane] > tops[size_t(lane)] ? logits[i + lane] : tops[size_t(lane)];
  for (; i < count; i++) tops[0] = logits[i] > tops[0] ? logits[i] : tops[0];
  float top = tops[0];
  for (const float one : tops) top = one > top ? one : top;
  for (i = 0; i < count; i++)
    if (logits[i] == top) return i;
  return 0;
}

// The token at which the sum of the probabilities exceeds `uniform`. In double precision and in the order of the
// vocabulary, so that the choice does not depend on the processor.
int64_t sample(const float* logits, int64_t count, double temperature, double uniform, std::vector<double>& weights) {
  weights.resize(size_t(count));
  const float top = float(double(logits[most_likely(logits, count)]) / temperature);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    const float heated = float(double(logits[i]) / temperature);
    const double weight = heated == -INFINITY ? 0 : std::exp(double(heated) - double(top));
    weights[size_t(i)] = weight;
    sum += weight;
  }
  double left = uniform * sum;
  int64_t last = 0;
  for (int64_t i = 0; i < count; i++) {
    if (weights[size_t(i)] == 0) continue;
    last = i;
    left -= weights[size_t(i)];
    if (left < 0) return i;
  }
  return last;
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
    std::vector<double> weights;
    for (int64_t r = first; r < last; r++) {
      const float* row = values + r * count;
      const bool greedy = heat[r] == 0;
      chosen[r] = greedy ? most_likely(row, count) : sample(row, count, heat[r], chances[r], weights);
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
