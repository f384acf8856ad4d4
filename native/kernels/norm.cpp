// tunesmith::add_layer_norm and tunesmith::add_rms_norm: the residual sum and its normalization in one pass.
// The sum has the wider type of input and residual, the normalized result the narrower of input and weight.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "checks.h"
#include "plain/plain.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t row_grain = 16;

struct AddNorm : torch::autograd::Function<AddNorm> {
  static variable_list forward(AutogradContext* context, const Tensor& input, const std::optional<Tensor>& residual,
                               const Tensor& weight, const std::optional<Tensor>& bias, double epsilon, bool centered) {
    Tensor x = input.contiguous(), r = residual ? residual->contiguous() : Tensor();
    Tensor w = weight.contiguous(), b = bias ? bias->contiguous() : Tensor();
    const int64_t width = w.size(0), rows = x.numel() / width;
    const bool half_sum = is_half(x) && (!r.defined() || is_half(r));
    Tensor sum = r.defined() ? at::empty(x.sizes(), x.options().dtype(half_sum ? at::kBFloat16 : at::kFloat)) : x;
    Tensor output = at::empty(x.sizes(), x.options().dtype(is_half(x) || is_half(w) ? at::kBFloat16 : at::kFloat));
    Tensor scale = at::empty({rows}, at::kFloat), mean = centered ? at::empty({rows}, at::kFloat) : Tensor();
    NormRows job{};
    job.width = width;
    job.input = address(x);
    job.input_type = type_of(x);
    job.residual = address_or_null(r);
    job.residual_type = r.defined() ? type_of(r) : Type::float32;
    job.sum = r.defined() ? mutable_address(sum) : nullptr;
    job.sum_type = type_of(sum);
    job.weight = address(w);
    job.weight_type = type_of(w);
    job.bias = address_or_null(b);
    job.bias_type = b.defined() ? type_of(b) : Type::float32;
    job.output = mutable_address(output);
    job.output_type = type_of(output);
    job.mean = centered ? mean.mutable_data_ptr<float>() : nullptr;
    job.scale = scale.mutable_data_ptr<float>();
    job.epsilon = float(epsilon);
    over_values(0, rows, row_grain, [&](int64_t first, int64_t last) { kernels().norm_rows(job, first, last); });
    context->set_materialize_grads(false);
    context->saved_data["input_type"] = int64_t(input.scalar_type());
    context->saved_data["residual_type"] = int64_t(r.defined() ? r.scalar_type() : input.scalar_type());
    context->saved_data["bias_type"] = int64_t(b.defined() ? b.scalar_type() : at::kFloat);
    context->saved_data["has_residual"] = r.defined();
    context->saved_data["has_bias"] = b.defined();
    if (r.defined()) {
      context->save_for_backward({sum, weight, scale, mean});
      return {sum, output};
    }
    context->save_for_backward({input, weight, scale, mean});
    return {input.view_as(input), output};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("add_norm");
    auto saved = context->get_saved_variables();
    Tensor sum = saved[0].contiguous(), weight = saved[1].contiguous(), scale = saved[2], mean = saved[3];
    const auto input_type = at::ScalarType(context->saved_data["input_type"].toInt());
    const auto residual_type = at::ScalarType(context->saved_data["residual_type"].toInt());
    const auto bias_type = at::ScalarType(context->saved_data["bias_type"].toInt());
    // The indices of needs_input_grad count the tensors that were passed.
    const bool has_residual = context->saved_data["has_residual"].toBool();
    const size_t weight_edge = has_residual ? 2 : 1;
    Tensor d_input, d_weight, d_bias;
    if (!gradients[1].defined()) {
      if (gradients[0].defined()) d_input = gradients[0];
      return {d_input.defined() ? d_input.to(input_type) : d_input,
              has_residual && d_input.defined() ? d_input.to(residual_type) : Tensor(),
              {},
              {},
              {},
              {}};
    }
    Tensor dy = gradients[1].contiguous();
    Tensor other = gradients[0].defined() ? gradients[0].contiguous() : Tensor();
    const int64_t width = weight.size(0), rows = sum.numel() / width;
    d_input = at::empty(sum.sizes(), sum.options());
    const bool want_bias = context->saved_data["has_bias"].toBool() && context->needs_input_grad(weight_edge + 1);
    // The rows are split in a fixed way: each part sums its own gradient of the weight, and the parts are added in
    // order.
    const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / row_grain));
    const int64_t step = (rows + parts - 1) / parts;
    Tensor partial = at::zeros({parts, 2, width}, at::kFloat);
    float* sums = partial.mutable_data_ptr<float>();
    NormRowsBackward job{};
    job.width = width;
    job.sum = address(sum);
    job.sum_type = type_of(sum);
    job.gradient = address(dy);
    job.gradient_type = type_of(dy);
    job.sum_gradient = address_or_null(other);
    job.sum_gradient_type = other.defined() ? type_of(other) : Type::float32;
    job.weight = address(weight);
    job.weight_type = type_of(weight);
    job.mean = mean.defined() ? mean.const_data_ptr<float>() : nullptr;
    job.scale = scale.const_data_ptr<float>();
    job.input_gradient = mutable_address(d_input);
    job.input_gradient_type = type_of(d_input);
    over_values(0, parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) {
        NormRowsBackward part = job;
        part.weight_gradient = sums + i * 2 * width;
        part.bias_gradient = want_bias ? part.weight_gradient + width : nullptr;
        if (i * step < rows) kernels().norm_rows_backward(part, i * step, std::min(rows, (i + 1) * step));
      }
    });
    for (int64_t i = 1; i < parts && !planning(); i++)
      kernels().column_sums(sums + i * 2 * width, Type::float32, 1, 2 * width, 2 * width, sums);
    if (context->needs_input_grad(weight_edge)) d_weight = partial[0][0].to(weight.scalar_type());
    if (want_bias) d_bias = partial[0][1].to(bias_type);
    return {d_input.to(input_type), has_residual ? d_input.to(residual_type) : Tensor(), d_weight, d_bias, {}, {}};
  }
};

// Whether the fused kernel computes.
bool check(const char* op, const Tensor& input, const Tensor& residual, const Tensor& weight, const Tensor& bias,
           double epsilon) {
  const bool fused = Placement::on_cpu(op, input, residual, weight, bias);
  check_values(input, op, "input");
  TORCH_CHECK(input.dim() >= 1 && input.size(-1) > 0, "Expected shape [...,C] for `input` of tunesmith::", op, ", got ",
              input.sizes(), ".");
  if (residual.defined()) {
    check_values(residual, op, "residual");
    TORCH_CHECK(residual.sizes() == input.sizes(), "Expected shape ", input.sizes(),
                " for `residual` of tunesmith::", op, ", got ", residual.sizes(), ".");
  }
  check_vector_values(weight, input.size(-1), op, "weight");
  if (bias.defined()) check_vector_values(bias, input.size(-1), op, "bias");
  TORCH_CHECK(epsilon >= 0, "Expected a number of at least 0 as `eps` of tunesmith::", op, ", got ", epsilon, ".");
  return fused;
}

std::tuple<Tensor, Tensor> add_layer_norm(const Tensor& input, const std::optional<Tensor>& residual,
                                          const Tensor& weight, const std::optional<Tensor>& bias, double epsilon) {
  if (!check("add_layer_norm", input, residual.value_or(Tensor()), weight, bias.value_or(Tensor()), epsilon))
    return plain::add_norm(input, given(residual), weight, given(bias), epsilon, true);
  auto results = AddNorm::apply(input, given(residual), weight, given(bias), epsilon, true);
  return {results[0], results[1]};
}

std::tuple<Tensor, Tensor> add_rms_norm(const Tensor& input, const std::optional<Tensor>& residual,
                                        const Tensor& weight, double epsilon) {
  if (!check("add_rms_norm", input, residual.value_or(Tensor()), weight, {}, epsilon))
    return plain::add_norm(input, given(residual), weight, {}, epsilon, false);
  auto results = AddNorm::apply(input, given(residual), weight, std::optional<Tensor>(), epsilon, false);
  return {results[0], results[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def(
      "add_layer_norm(Tensor input, Tensor? residual, Tensor weight, Tensor? bias, float eps) -> "
      "(Tensor sum, Tensor normalized)",
      &add_layer_norm);
  m.def("add_rms_norm(Tensor input, Tensor? residual, Tensor weight, float eps) -> (Tensor sum, Tensor normalized)",
        &add_rms_norm);
}

}  // namespace tunesmith
