// tunesmith::activated_linear: a linear layer of curve(gate) * up, or of curve(gate). Saved are gate and up, never what
// the layer multiplies, which the backward pass computes again beside the gradients of both.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "activation.h"
#include "checks.h"
#include "linear.h"
#include "plain/plain.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Optional = std::optional<Tensor>;

struct ActivatedLinear : torch::autograd::Function<ActivatedLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& gate, const Tensor& weight, const Optional& up,
                        const Optional& bias, Curve curve) {
    const Tensor g = gate.contiguous(), u = up ? up->contiguous() : Tensor(), wide = at::empty_like(g);
    activate(g, u, wide, curve);
    at::DimVector shape(gate.sizes().begin(), gate.sizes().end());
    shape.back() = weight.size(0);
    const Tensor x = wide.view({-1, weight.size(1)});
    Tensor y = at::empty({x.size(0), weight.size(0)}, gate.options());
    linear_product(y, x, weight, bias.value_or(Tensor()));
    context->save_for_backward({gate, up.value_or(Tensor()), weight, bias.value_or(Tensor())});
    context->saved_data["curve"] = int64_t(curve);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("activated_linear");
    const auto saved = context->get_saved_variables();
    const auto curve = Curve(context->saved_data["curve"].toInt());
    const Tensor &weight = saved[2], &bias = saved[3];
    const Tensor gate = saved[0].contiguous(), up = saved[1].defined() ? saved[1].contiguous() : Tensor();
    const Tensor dy = gradient_rows(gradients[0].to(gate.scalar_type()), weight.size(0));
    // Arguments that were not given have no place in this numbering.
    const size_t bias_place = up.defined() ? 3 : 2;
    const bool wants_weight = context->needs_input_grad(1);
    const bool wants_inputs = context->needs_input_grad(0) || (up.defined() && context->needs_input_grad(2));
    const Tensor wide = wants_weight ? at::empty_like(gate) : Tensor();
    Tensor dgate, dup, dw, db;
    if (wants_inputs) {
      // The gradient of what the layer multiplies becomes that of the gate in its place.
      dgate = linear_input_gradient(dy, weight).view(gate.sizes());
      if (up.defined()) dup = at::empty_like(up);
      activate_backward(gate, up, dgate, {dgate, dup, wide}, curve);
    } else if (wants_weight) {
      activate(gate, up, wide, curve);
    }
    if (wants_weight) dw = linear_weight_gradient(dy, wide.view({-1, weight.size(1)}), weight);
    if (bias.defined() && context->needs_input_grad(bias_place)) db = linear_bias_gradient(dy, bias);
    return {dgate, dw, dup, db, Tensor()};
  }
};

Curve curve_of(c10::string_view name) {
  if (name == "silu") return Curve::silu;
  if (name == "gelu") return Curve::gelu;
  TORCH_CHECK(name == "gelu-tanh",
              "Expected `silu`, `gelu` or `gelu-tanh` as `activation` of tunesmith::activated_linear, got `", name,
              "`.");
  return Curve::gelu_tanh;
}

Tensor activated_linear(const Tensor& gate, const Optional& up, const Tensor& weight, const Optional& bias,
                        c10::string_view activation) {
  const bool fused = Placement::on_cpu("activated_linear", gate, up, weight, bias);
  const Curve curve = curve_of(activation);
  check_linear(gate, weight, bias, "activated_linear", "gate");
  if (given(up)) check_gate(gate, *up, "activated_linear");
  if (!fused) return plain::linear(plain::activate(gate, given(up), activation), weight, given(bias));
  return ActivatedLinear::apply(gate, weight, given(up) ? up : Optional(),
                                given(bias) ? Optional(bias->contiguous()) : Optional(), curve);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("activated_linear(Tensor gate, Tensor? up, Tensor weight, Tensor? bias, str activation) -> Tensor",
        &activated_linear);
}

}  // namespace tunesmith
