// Norms of gradients and the AdamW step as compositions. Norms stay on the device.

#include <cmath>

#include "plain.h"

namespace tunesmith::plain {

Tensor grad_norm(at::TensorList grads) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> norms;
  for (const Tensor& g : grads)
    norms.push_back(at::linalg_vector_norm(g, 2, at::OptionalIntArrayRef(), false, at::kFloat));
  return at::linalg_vector_norm(at::stack(norms), 2);
}

Tensor clip_grad_norm_(at::TensorList grads, double max_norm, double scale) {
  const at::NoGradGuard no_grad;
  const Tensor norm = grad_norm(grads).mul(std::abs(scale));
  // As in PyTorch: the factor is at most 1, and a norm that is not finite passes into the gradients.
  const Tensor factor = norm.add(1e-6).reciprocal().mul(max_norm).clamp_max(1).mul(scale);
  for (const Tensor& g : grads) g.mul_(factor.to(g.scalar_type()));
  return norm;
}

void adamw_(at::TensorList params, at::TensorList exp_avgs, at::TensorList exp_avg_sqs, at::TensorList working_copies,
            at::TensorList grads, at::ArrayRef<double> learning_rates, at::ArrayRef<double> weight_decays,
            const AdamwStep& step) {
  const at::NoGradGuard no_grad;
  const double correction1 = 1 / (1 - std::pow(step.beta1, double(step.step)));
  const double correction2 = 1 / std::sqrt(1 - std::pow(step.beta2, double(step.step)));
  for (size_t i = 0; i < params.size(); i++) {
    const Tensor &weight = params[i], &first = exp_avgs[i], &second = exp_avg_sqs[i];
    Tensor gradient = grads[i].to(at::kFloat);
    if (step.grad_scale != 1) gradient = gradient.mul(double(step.grad_scale));
    first.lerp_(gradient, 1 - step.beta1);
    second.mul_(step.beta2).addcmul_(gradient, gradient, 1 - step.beta2);
    const Tensor root = second.sqrt().mul_(correction2).add_(step.epsilon);
    weight.mul_(1 - learning_rates[i] * weight_decays[i]);
    weight.addcdiv_(first, root, -learning_rates[i] * correction1);
    if (working_copies[i].numel() > 0) working_copies[i].copy_(weight);
  }
}

}  // namespace tunesmith::plain
