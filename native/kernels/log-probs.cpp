// tunesmith::token_log_probs: output projection and the log-probability of one token in each row, in chunks of rows, so
// that the logits of the whole batch never exist. The gradient of each row arrives in backward; where only the hidden
// states need one, forward computes it for a factor of one, and otherwise backward computes the logits again.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>

#include "checks.h"
#include "plain/plain.h"
#include "product.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct LogProbSettings {
  double temperature;
  int64_t chunk_size;
  bool wants_gradient;
  double softcap;
};

// The logits of rows [first, first + count) in `logits`, in the dtype that the processor multiplies fastest.
struct LogitChunks {
  Tensor x, weight, bias, logits;

  LogitChunks(const Tensor& rows, const Tensor& matrix, const std::optional<Tensor>& offset, int64_t chunk)
      : x(rows), weight(matrix) {
    const auto type = has_native_bfloat16() && is_half(x) && is_half(weight) ? at::kBFloat16 : at::kFloat;
    logits = at::empty({chunk, weight.size(0)}, x.options().dtype(type));
    if (offset) bias = offset->to(type);
  }

  Tensor at(int64_t first, int64_t count) {
    Tensor scores = logits.narrow(0, 0, count);
    product_out(scores, x.narrow(0, first, count), weight.t(), bias);
    return scores;
  }
};

struct TokenLogProbs : torch::autograd::Function<TokenLogProbs> {
  static variable_list forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight,
                               const std::optional<Tensor>& bias, const Tensor& targets,
                               const LogProbSettings& settings) {
    const int64_t classes = weight.size(0), rows = targets.numel();
    const Tensor x = hidden.reshape({-1, weight.size(1)}).contiguous();
    const int64_t chunk = std::max<int64_t>(1, std::min(settings.chunk_size, rows));
    const bool frozen = !weight.requires_grad() && !(bias && bias->requires_grad());
    const bool early = settings.wants_gradient && frozen;
    Tensor unit = early ? at::empty(x.sizes(), x.options()) : Tensor();
    const auto float_options = x.options().dtype(at::kFloat);
    Tensor log_probs = at::empty({rows}, float_options), entropy = at::empty({rows}, float_options),
           log_power = at::empty({rows}, float_options);
    const auto cap = float(settings.softcap);
    float* of_tokens = log_probs.mutable_data_ptr<float>();
    float* of_entropy = entropy.mutable_data_ptr<float>();
    float* of_power = log_power.mutable_data_ptr<float>();
    const int64_t* ids = targets.const_data_ptr<int64_t>();
    LogitChunks chunks(x, weight, bias, chunk);
    for (int64_t at = 0; at < rows; at += chunk) {
      const int64_t count = std::min(chunk, rows - at);
      Tensor scores = chunks.at(at, count);
      char* base = static_cast<char*>(mutable_address(scores));
      const int64_t bytes = classes * scores.element_size();
      const Type type = type_of(scores);
      over_values(0, count, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          LogProbRow row{classes, ids[at + i], float(1 / settings.temperature), early, 1.0f, cap};
          const LogProbResult result = kernels().log_prob_row(row, base + i * bytes, type);
          of_tokens[at + i] = result.log_prob;
          of_entropy[at + i] = result.entropy;
          of_power[at + i] = result.log_power;
        }
      });
      if (early) {
        Tensor target = unit.narrow(0, at, count);
        product_out(target, scores, weight);
      }
    }
    context->mark_non_differentiable({entropy, log_power});
    context->set_materialize_grads(false);
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["softcap"] = settings.softcap;
    context->saved_data["chunk"] = chunk;
    context->saved_data["early"] = early;
    if (early)
      context->save_for_backward({unit.view(hidden.sizes())});
    else if (settings.wants_gradient)
      context->save_for_backward({hidden, weight, bias.value_or(Tensor()), targets});
    return {log_probs.view(targets.sizes()), entropy.view(targets.sizes()), log_power.view(targets.sizes())};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("token_log_probs");
    variable_list results(5);
    if (!gradients[0].defined()) return results;
    const Tensor factors = gradients[0].to(at::kFloat).contiguous();
    auto saved = context->get_saved_variables();
    if (context->saved_data["early"].toBool()) {
      results[0] = saved[0].mul(factors.unsqueeze(-1).to(saved[0].scalar_type()));
      return results;
    }
    const Tensor &hidden = saved[0], &weight = saved[1], &targets = saved[3];
    const std::optional<Tensor> bias = given(saved[2]);
    const float heat = float(1 / context->saved_data["temperature"].toDouble());
    const auto cap = float(context->saved_data["softcap"].toDouble());
    const int64_t chunk = context->saved_data["chunk"].toInt(), rows = targets.numel(), classes = weight.size(0);
    const Tensor x = hidden.reshape({-1, weight.size(1)}).contiguous();
    LogitChunks chunks(x, weight, bias, chunk);
    Tensor dx = hidden.requires_grad() ? at::empty(x.sizes(), x.options()) : Tensor();
    // Summed over chunks in fp32 and rounded once; ATen's bf16 product can only add to bf16.
    const auto sum_options = x.options().dtype(chunks.logits.scalar_type());
    Tensor dw = !weight.requires_grad() ? Tensor()
                : rows == 0             ? at::zeros(weight.sizes(), sum_options)
                                        : at::empty(weight.sizes(), sum_options);
    Tensor db = bias && bias->requires_grad() ? at::zeros({classes}, x.options().dtype(at::kFloat)) : Tensor();
    const int64_t* ids = targets.const_data_ptr<int64_t>();
    const float* scale = factors.const_data_ptr<float>();
    for (int64_t at = 0; at < rows; at += chunk) {
      const int64_t count = std::min(chunk, rows - at);
      Tensor scores = chunks.at(at, count);
      char* base = static_cast<char*>(mutable_address(scores));
      const int64_t bytes = classes * scores.element_size();
      const Type type = type_of(scores);
      over_values(0, count, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          LogProbRow row{classes, ids[at + i], heat, true, scale[at + i], cap};
          kernels().log_prob_row(row, base + i * bytes, type);
        }
      });
      if (dx.defined()) {
        Tensor target = dx.narrow(0, at, count);
        product_out(target, scores, weight);
      }
      if (dw.defined()) product_out(dw, scores.t(), x.narrow(0, at, count), {}, at > 0);
      if (db.defined()) db.add_(column_sum(scores));
    }
    if (dx.defined()) results[0] = dx.view(hidden.sizes());
    if (dw.defined()) results[1] = dw.to(weight.scalar_type());
    if (db.defined()) results[2] = db.to(bias->scalar_type());
    return results;
  }
};

void check_targets(const Tensor& targets, at::IntArrayRef shape, int64_t classes, const char* op) {
  TORCH_CHECK(targets.scalar_type() == at::kLong, "Expected int64 ids as `targets` of tunesmith::", op, ", got ",
              targets.scalar_type(), ".");
  TORCH_CHECK(targets.sizes() == shape, "Expected shape ", shape, " for `targets` of tunesmith::", op, ", got ",
              targets.sizes(), ".");
  if (!targets.is_cpu()) return;  // Reading them would make the host wait.
  const Tensor ids = targets.contiguous();
  const int64_t* values = ids.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < ids.numel(); i++)
    TORCH_CHECK(values[i] >= 0 && values[i] < classes, "Expected targets from 0 to ", classes - 1,
                " for tunesmith::", op, ", got ", values[i], " at row ", i, ".");
}

void check_temperature(double temperature, const char* op) {
  TORCH_CHECK(temperature > 0 && std::isfinite(temperature), "Expected a positive number as `temperature` of ",
              "tunesmith::", op, ", got ", temperature, ".");
}

std::tuple<Tensor, Tensor, Tensor> token_log_probs(const Tensor& hidden, const Tensor& weight,
                                                   const std::optional<Tensor>& bias, const Tensor& targets,
                                                   double temperature, int64_t chunk_size, double softcap) {
  const char* op = "token_log_probs";
  const bool fused = Placement::on_cpu(op, hidden, weight, bias, targets);
  check_values(hidden, op, "hidden");
  check_values(weight, op, "weight");
  TORCH_CHECK(weight.dim() == 2 && weight.size(0) > 0 && weight.size(1) > 0,
              "Expected shape [V,C] for `weight` of tunesmith::token_log_probs, got ", weight.sizes(), ".");
  TORCH_CHECK(hidden.dim() >= 1 && hidden.size(-1) == weight.size(1), "Expected shape [...,", weight.size(1),
              "] for `hidden` of tunesmith::token_log_probs, got ", hidden.sizes(), ".");
  if (given(bias)) check_vector_values(*bias, weight.size(0), op, "bias");
  const auto leading = hidden.sizes().slice(0, size_t(hidden.dim() - 1));
  check_targets(targets, leading, weight.size(0), op);
  check_temperature(temperature, op);
  TORCH_CHECK(chunk_size > 0, "Expected at least 1 as `chunk_size` of tunesmith::token_log_probs, got ", chunk_size,
              ".");
  check_cap(softcap, op);
  if (!fused) return plain::token_log_probs(hidden, weight, given(bias), targets, {chunk_size, temperature, softcap});
  const Tensor ids = targets.contiguous();
  LogProbSettings settings{temperature, chunk_size, wants_gradient(hidden, weight, bias.value_or(Tensor())), softcap};
  auto results = TokenLogProbs::apply(hidden, weight, given(bias), ids, settings);
  return {results[0], results[1], results[2]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def(
      "token_log_probs(Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, float temperature=1.0, "
      "int chunk_size=512, float softcap=0.0) -> (Tensor log_probs, Tensor entropy, Tensor log_power)",
      &token_log_probs);
}

}  // namespace tunesmith
