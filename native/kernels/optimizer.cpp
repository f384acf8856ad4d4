// tunesmith::adamw_, grad_norm and clip_grad_norm_: one parallel pass over the elements of all tensors together.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "checks.h"
#include "plain/plain.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr int64_t piece_size = 32768;

// A run of elements of one tensor; the pieces of all tensors are the tasks of one pass.
struct ParameterPiece {
  size_t tensor;
  int64_t first, count;
};
std::vector<ParameterPiece> pieces_of(at::TensorList tensors) {
  std::vector<ParameterPiece> pieces;
  for (size_t i = 0; i < tensors.size(); i++)
    for (int64_t at = 0; at < tensors[i].numel(); at += piece_size)
      pieces.push_back({i, at, std::min(piece_size, tensors[i].numel() - at)});
  return pieces;
}

const char* element(const Tensor& t, int64_t i) { return static_cast<const char*>(address(t)) + i * t.element_size(); }

// Whether both tensors are dense with the same order of dimensions.
bool same_layout(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() && a.is_non_overlapping_and_dense() &&
         (a.strides() == b.strides() || (a.is_contiguous() && b.is_contiguous()));
}

void adamw_(at::TensorList params, at::TensorList exp_avgs, at::TensorList exp_avg_sqs, at::TensorList working_copies,
            at::TensorList grads, at::ArrayRef<double> learning_rates, at::ArrayRef<double> weight_decays, double beta1,
            double beta2, double eps, int64_t step, const std::optional<Tensor>& grad_scale) {
  at::NoGradGuard no_grad;
  const size_t count = params.size();
  TORCH_CHECK(exp_avgs.size() == count && exp_avg_sqs.size() == count && working_copies.size() == count &&
                  grads.size() == count && learning_rates.size() == count && weight_decays.size() == count,
              "Expected ", count, " entries in every list of tunesmith::adamw_, got ", exp_avgs.size(), " exp_avgs, ",
              exp_avg_sqs.size(), " exp_avg_sqs, ", working_copies.size(), " working_copies, ", grads.size(),
              " grads, ", learning_rates.size(), " learning_rates, ", weight_decays.size(), " weight_decays.");
  TORCH_CHECK(step >= 1, "Expected at least 1 as `step` of tunesmith::adamw_, got ", step, ".");
  TORCH_CHECK(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1,
              "Expected numbers from 0 to below 1 as the betas of tunesmith::adamw_, got ", beta1, " and ", beta2, ".");
  float scale = 1;
  if (given(grad_scale)) {
    TORCH_CHECK(grad_scale->numel() == 1, "Expected a scalar as `grad_scale` of tunesmith::adamw_, got shape ",
                grad_scale->sizes(), ".");
    scale = grad_scale->to(at::kFloat).item<float>();
    if (!std::isfinite(scale)) return;
  }
  const bool fused = count == 0 || Placement::on_cpu("adamw_", params[0], params, exp_avgs, exp_avg_sqs, grads);
  std::vector<Tensor> gradients(count);
  for (size_t i = 0; i < count; i++) {
    const Tensor& p = params[i];
    for (const auto& [t, name] : {std::pair<const Tensor&, const char*>(p, "params"),
                                  {exp_avgs[i], "exp_avgs"},
                                  {exp_avg_sqs[i], "exp_avg_sqs"}}) {
      check_values(t, "adamw_", name);
      TORCH_CHECK(t.scalar_type() == at::kFloat, "Expected float32 `", name, "` in tunesmith::adamw_, got ",
                  t.scalar_type(), " at entry ", i, ".");
      TORCH_CHECK(same_layout(p, t), "Expected `", name, "` of tunesmith::adamw_ without gaps and shaped ", p.sizes(),
                  ", got ", t.sizes(), " with strides ", t.strides(), " at entry ", i, ".");
    }
    const Tensor& copy = working_copies[i];
    const bool narrow = copy.scalar_type() == at::kBFloat16 || (copy.scalar_type() == at::kHalf && !fused);
    TORCH_CHECK(copy.numel() == 0 || (narrow && same_layout(p, copy)), "Expected bfloat16 shaped ", p.sizes(),
                " (or empty) in `working_copies` of tunesmith::adamw_, got ", copy.scalar_type(), " ", copy.sizes(),
                " at entry ", i, ".");
    TORCH_CHECK(copy.numel() == 0 || copy.device() == p.device(), "Expected `working_copies` of tunesmith::adamw_ on ",
                p.device(), ", got one on ", copy.device(), " at entry ", i, ".");
    check_values(grads[i], "adamw_", "grads");
    TORCH_CHECK(grads[i].sizes() == p.sizes(), "Expected shape ", p.sizes(), " in `grads` of tunesmith::adamw_, got ",
                grads[i].sizes(), " at entry ", i, ".");
    gradients[i] = grads[i];
    if (!same_layout(p, grads[i])) {
      gradients[i] = at::empty_strided(p.sizes(), p.strides(), grads[i].options());
      gradients[i].copy_(grads[i]);
    }
  }
  if (!fused)
    return plain::adamw_(params, exp_avgs, exp_avg_sqs, working_copies, gradients, learning_rates, weight_decays,
                         {beta1, beta2, eps, step, scale});
  const std::vector<ParameterPiece> pieces = pieces_of(params);
  AdamW shared{};
  shared.beta1 = float(beta1);
  shared.beta2 = float(beta2);
  shared.one_minus_beta1 = float(1 - beta1);
  shared.one_minus_beta2 = float(1 - beta2);
  shared.epsilon = float(eps);
  shared.correction2 = float(1 / std::sqrt(1 - std::pow(beta2, double(step))));
  shared.gradient_scale = scale;
  const double correction1 = 1 / (1 - std::pow(beta1, double(step)));
  over_values(0, int64_t(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const ParameterPiece& piece = pieces[size_t(i)];
      const size_t k = piece.tensor;
      AdamW job = shared;
      job.keep = float(1 - learning_rates[k] * weight_decays[k]);
      job.step_size = float(learning_rates[k] * correction1);
      const Tensor& copy = working_copies[k];
      kernels().adamw(
          job, params[k].mutable_data_ptr<float>() + piece.first, exp_avgs[k].mutable_data_ptr<float>() + piece.first,
          exp_avg_sqs[k].mutable_data_ptr<float>() + piece.first, element(gradients[k], piece.first),
          type_of(gradients[k]),
          copy.numel() == 0 ? nullptr : static_cast<uint16_t*>(mutable_address(copy)) + piece.first, piece.count);
    }
  });
  for (size_t i = 0; i < count; i++) {
    for (const Tensor& t : {params[i], exp_avgs[i], exp_avg_sqs[i], working_copies[i]})
      if (!t.is_inference()) t.unsafeGetTensorImpl()->bump_version();
  }
}

// Dense tensors are read in memory order, since a norm does not depend on the order of elements.
std::vector<Tensor> dense(at::TensorList grads, const char* op) {
  std::vector<Tensor> result;
  for (const Tensor& g : grads) {
    check_float(g, op, "grads");
    result.push_back(g.is_non_overlapping_and_dense() ? g : g.contiguous());
  }
  return result;
}

double norm_of(const std::vector<Tensor>& grads) {
  const std::vector<ParameterPiece> pieces = pieces_of(grads);
  std::vector<double> sums(pieces.size());
  over_values(0, int64_t(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const ParameterPiece& piece = pieces[size_t(i)];
      const Tensor& g = grads[piece.tensor];
      sums[size_t(i)] = kernels().square_sum(element(g, piece.first), type_of(g), piece.count);
    }
  });
  double sum = 0;
  for (double s : sums) sum += s;
  return std::sqrt(sum);
}

Tensor scalar(double x) {
  Tensor result = at::empty({}, at::kFloat);
  *result.mutable_data_ptr<float>() = float(x);
  return result;
}

Tensor grad_norm(at::TensorList grads) {
  at::NoGradGuard no_grad;
  if (!grads.empty() && !Placement::on_cpu("grad_norm", grads[0], grads)) return plain::grad_norm(grads);
  return scalar(norm_of(dense(grads, "grad_norm")));
}

Tensor clip_grad_norm_(at::TensorList grads, double max_norm, double scale) {
  at::NoGradGuard no_grad;
  TORCH_CHECK(max_norm >= 0, "Expected at least 0 as `max_norm` of tunesmith::clip_grad_norm_, got ", max_norm, ".");
  if (!grads.empty() && !Placement::on_cpu("clip_grad_norm_", grads[0], grads))
    return plain::clip_grad_norm_(grads, max_norm, scale);
  const double norm = norm_of(dense(grads, "clip_grad_norm_")) * std::abs(scale);
  // As in PyTorch: the factor is at most 1, and a norm that is not finite passes into the gradients.
  const double clip = max_norm / (norm + 1e-6);
  const auto factor = float(scale * (clip > 1 ? 1.0 : clip));
  if (factor == 1.0f) return scalar(norm);
  for (const Tensor& g : grads)
    if (!g.is_non_overlapping_and_dense()) g.mul_(factor);
  std::vector<Tensor> plain;
  for (const Tensor& g : grads)
    if (g.is_non_overlapping_and_dense()) plain.push_back(g);
  const std::vector<ParameterPiece> pieces = pieces_of(plain);
  over_values(0, int64_t(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const ParameterPiece& piece = pieces[size_t(i)];
      const Tensor& g = plain[piece.tensor];
      kernels().scale(static_cast<char*>(mutable_address(g)) + piece.first * g.element_size(), type_of(g), factor,
                      piece.count);
    }
  });
  for (const Tensor& g : plain)
    if (!g.is_inference()) g.unsafeGetTensorImpl()->bump_version();
  return scalar(norm);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def(
      "adamw_(Tensor(a!)[] params, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, Tensor(d!)[] working_copies, "
      "Tensor[] grads, float[] learning_rates, float[] weight_decays, float beta1, float beta2, float eps, int step, "
      "Tensor? grad_scale=None) -> ()",
      &adamw_);
  m.def("grad_norm(Tensor[] grads) -> Tensor", &grad_norm);
  m.def("clip_grad_norm_(Tensor(a!)[] grads, float max_norm, float scale=1.0) -> Tensor", &clip_grad_norm_);
}

}  // namespace tunesmith
