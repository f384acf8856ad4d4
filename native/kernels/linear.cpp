// tunesmith::linear: input [...,K] times weight [N,K] transposed, plus bias [N].
#include "linear.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "checks.h"
#include "packed-weights.h"
#include "pair-product.h"
#include "plain/plain.h"
#include "product.h"
#include "rounded-rows.h"
#include "tile-product.h"

namespace tunesmith {

void linear_product(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  // For some rows the product reads the rows of the weight, whose bits another layout must give too.
  const bool turned = weight.stride(1) != 1 && x.size(0) > 16 && x.size(0) <= 128;
  const float* panels = batch_invariant() && !planning() ? kept_panels(weight) : nullptr;
  product_out(y, x, (turned ? weight.contiguous() : weight).t(), bias, false, panels);
}

at::Tensor gradient_rows(const at::Tensor& gradient, int64_t width) {
  at::Tensor dy = gradient.reshape({-1, width});
  return dy.numel() > 0 && dy.stride(1) != 1 && dy.stride(0) != 1 ? dy.contiguous() : dy;
}

at::Tensor linear_input_gradient(const at::Tensor& dy, const at::Tensor& weight) {
  at::Tensor dx = at::empty({dy.size(0), weight.size(1)}, dy.options());
  product_out(dx, dy, weight);
  return dx;
}

at::Tensor linear_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor dw = at::empty(weight.sizes(), weight.options());
  product_out(dw, dy.t(), x);
  return dw;
}

at::Tensor linear_bias_gradient(const at::Tensor& dy, const at::Tensor& bias) {
  return column_sum(dy).to(bias.scalar_type());
}

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Linear : torch::autograd::Function<Linear> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    Tensor x = input.reshape({-1, weight.size(1)});
    at::DimVector shape(input.sizes().begin(), input.sizes().end());
    shape.back() = weight.size(0);
    Tensor y = at::empty({x.size(0), weight.size(0)}, input.options());
    linear_product(y, x, weight, bias.value_or(Tensor()));
    // A weight that is not trained needs no input: it is not saved.
    context->save_for_backward({weight.requires_grad() ? input : Tensor(), weight, bias.value_or(Tensor())});
    context->saved_data["shape"] = input.sizes().vec();
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("linear");
    auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &weight = saved[1], &bias = saved[2];
    const auto shape = context->saved_data["shape"].toIntVector();
    const Tensor dy = gradient_rows(gradients[0], weight.size(0));
    Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = linear_input_gradient(dy, weight).view(shape);
    if (context->needs_input_grad(1)) dw = linear_weight_gradient(dy, input.reshape({-1, weight.size(1)}), weight);
    if (bias.defined() && context->needs_input_grad(2)) db = linear_bias_gradient(dy, bias);
    return {dx, dw, db};
  }
};

}  // namespace

void check_linear(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                  const char* op, const char* name) {
  check_values(input, op, name);
  check_values(weight, op, "weight");
  TORCH_CHECK(weight.dim() == 2, "Expected shape [N,K] for `weight` of tunesmith::", op, ", got ", weight.sizes(), ".");
  TORCH_CHECK(input.dim() >= 1 && input.size(-1) == weight.size(1), "Expected shape [...,", weight.size(1), "] for `",
              name, "` of tunesmith::", op, ", got ", input.sizes(), " against weight ", weight.sizes(), ".");
  TORCH_CHECK(weight.size(1) > 0, "Expected at least one column in `weight` of tunesmith::", op, ", got ",
              weight.sizes(), ".");
  if (given(bias)) check_vector_values(*bias, weight.size(0), op, "bias");
}

at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  const bool fused = Placement::on_cpu("linear", input, weight, bias);
  check_linear(input, weight, bias, "linear");
  if (!fused) return plain::linear(input, weight, given(bias));
  if (!given(bias)) return Linear::apply(input, weight, std::optional<at::Tensor>());
  return Linear::apply(input, weight, std::optional<at::Tensor>(bias->contiguous()));
}

namespace {

// The output layer of a model in bf16 whose last hidden states are float32, those of tunesmith::decoder_layers: what
// rounds their inputs there rounds them here, and the logits stay float32.
Tensor rounded_linear(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias) {
  const bool fits = input.device().is_cpu() && weight.device().is_cpu() && !planning() && !at::GradMode::is_enabled() &&
                    input.scalar_type() == at::kFloat && weight.scalar_type() == at::kBFloat16 && weight.dim() == 2 &&
                    weight.stride(1) == 1 && weight.size(1) > 0 && input.dim() >= 1 &&
                    input.size(-1) == weight.size(1) && (!given(bias) || bias->is_contiguous());
  const int64_t rows = fits ? input.numel() / weight.size(1) : 0;
  if (!fits || batch_invariant() || !rounds_rows(rows)) return tunesmith::linear(input, weight, bias);
  at::DimVector shape(input.sizes().begin(), input.sizes().end());
  shape.back() = weight.size(0);
  const Tensor x = input.reshape({rows, weight.size(1)}).to(at::kBFloat16).contiguous();
  Tensor y = at::empty({rows, weight.size(0)}, input.options());
  Product p{};
  p.rows = rows;
  p.columns = weight.size(0);
  p.depth = weight.size(1);
  p.a = matrix_of(x);
  p.b = transposed(matrix_of(weight));
  p.out = mutable_address(y);
  p.out_type = Type::float32;
  p.out_stride = p.columns;
  if (given(bias)) {
    check_vector_values(*bias, weight.size(0), "rounded_linear", "bias");
    p.bias = address(*bias);
    p.bias_type = type_of(*bias);
  }
  // Packing a weight for up to 128 rows costs more than it saves.
  if (takes_tile_rows(p))
    multiply_rows_by_tiles(p);
  else if (rows > 128 && takes_pairs(rows, p.columns, p.depth, false))
    multiply_by_pairs(p);
  else
    multiply_few_by_pairs(p);
  return y.view(shape);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("linear(Tensor input, Tensor weight, Tensor? bias) -> Tensor", &linear);
  m.def("rounded_linear(Tensor input, Tensor weight, Tensor? bias) -> Tensor", &rounded_linear);
}

}  // namespace tunesmith
