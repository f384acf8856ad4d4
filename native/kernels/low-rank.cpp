// tunesmith::low_rank_linear: input [...,K] times weight [N,K] transposed, plus bias [N], plus the low-rank change of
// LoRA, scale · (input aᵀ) bᵀ with a [R,K] and b [N,R]. In bf16 the change is added to the product where it lies:
// composed, it takes a library's products of few columns and three passes over [...,N] more.
#include "low-rank.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>

#include "checks.h"
#include "linear.h"
#include "pair-product.h"
#include "product.h"
#include "tile-product.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// out = a b by tiles or pairs, whatever the sizes, or out += a b.
void own_product_out(const Tensor& out, const Tensor& a, const Tensor& b, bool add = false) {
  if (planning()) return count_product(out.size(0), out.size(1), a.size(1));
  if (out.numel() == 0) return;
  if (a.size(1) == 0) {
    if (!add) out.zero_();
    return;
  }
  Product p{};
  p.rows = out.size(0);
  p.columns = out.size(1);
  p.depth = a.size(1);
  p.a = matrix_of(a);
  p.b = matrix_of(b);
  p.out = mutable_address(out);
  p.out_type = type_of(out);
  p.out_stride = out.stride(0);
  p.add_to_out = add;
  if (fits_tiles(p)) return multiply_by_tiles(p);
  multiply_by_pairs(p);
}

// scale · a b in bf16, rounded once.
Tensor scaled_product(const Tensor& a, const Tensor& b, double scale) {
  const Tensor wide = at::empty({a.size(0), b.size(1)}, a.options().dtype(at::kFloat));
  own_product_out(wide, a, b);
  const Tensor result = at::empty(wide.sizes(), a.options());
  if (planning()) return result;
  kernels().scale(mutable_address(wide), Type::float32, static_cast<float>(scale), wide.numel());
  kernels().convert(address(wide), Type::float32, mutable_address(result), Type::bfloat16, wide.numel());
  return result;
}

}  // namespace

bool fits_low_rank(const Tensor& input, const Tensor& a, const Tensor& b) {
  return input.is_cpu() && is_half(input) && is_half(a) && is_half(b) && (prefers_pair_products() || matrix_tiles());
}

Tensor add_low_rank(const Tensor& y, const Tensor& x, const Tensor& a, const Tensor& b, double scale) {
  const Tensor narrow = scaled_product(x, a.t(), scale);
  own_product_out(y, narrow, b.t(), true);
  return narrow;
}

Tensor low_rank_narrow_gradient(const Tensor& dy, const Tensor& b, double scale) {
  return scaled_product(dy, b, scale);
}

void add_low_rank_input_gradient(const Tensor& dx, const Tensor& narrow, const Tensor& a) {
  own_product_out(dx, narrow, a, true);
}

Tensor low_rank_a_gradient(const Tensor& narrow, const Tensor& x, const Tensor& a) {
  const Tensor da = at::empty(a.sizes(), a.options());
  own_product_out(da, narrow.t(), x);
  return da;
}

Tensor low_rank_b_gradient(const Tensor& dy, const Tensor& narrow_input, const Tensor& b) {
  const Tensor db = at::empty(b.sizes(), b.options());
  own_product_out(db, dy.t(), narrow_input);
  return db;
}

Tensor unit_rows(const Tensor& x, int64_t width) {
  const Tensor rows = x.reshape({-1, width});
  return rows.stride(1) == 1 || rows.numel() == 0 ? rows : rows.contiguous();
}

namespace {

void check_matrix(const Tensor& t, int64_t rows, int64_t columns, const char* op, const char* name) {
  check_values(t, op, name);
  TORCH_CHECK(t.dim() == 2 && t.size(0) == rows && t.size(1) == columns, "Expected shape [", rows, ",", columns,
              "] for `", name, "` of tunesmith::", op, ", got ", t.sizes(), ".");
}

}  // namespace

void check_low_rank(const Tensor& a, const Tensor& b, double scale, int64_t rows, int64_t columns, const char* op) {
  check_values(a, op, "a");
  TORCH_CHECK(a.dim() == 2 && a.size(0) > 0, "Expected shape [R,K] for `a` of tunesmith::", op, ", got ", a.sizes(),
              ".");
  check_matrix(a, a.size(0), columns, op, "a");
  check_matrix(b, rows, a.size(0), op, "b");
  TORCH_CHECK(std::isfinite(scale), "Expected a finite `scale` of tunesmith::", op, ", got ", scale, ".");
}

namespace {

struct LowRankLinear : torch::autograd::Function<LowRankLinear> {
  // The bias is last: an absent one has no place among the inputs that may need a gradient.
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weight, const Tensor& a,
                        const Tensor& b, double scale, const std::optional<Tensor>& bias) {
    const Tensor x = unit_rows(input, weight.size(1));
    at::DimVector shape(input.sizes().begin(), input.sizes().end());
    shape.back() = weight.size(0);
    const Tensor y = at::empty({x.size(0), weight.size(0)}, input.options());
    linear_product(y, x, weight, bias.value_or(Tensor()));
    const Tensor narrow = add_low_rank(y, x, a, b, scale);
    const bool reads_input = weight.requires_grad() || a.requires_grad();
    context->save_for_backward(
        {reads_input ? input : Tensor(), weight, a, b, b.requires_grad() ? narrow : Tensor(), bias.value_or(Tensor())});
    context->saved_data["shape"] = input.sizes().vec();
    context->saved_data["scale"] = scale;
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("low_rank_linear");
    const auto saved = context->get_saved_variables();
    const Tensor &input = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &narrow = saved[4],
                 &bias = saved[5];
    const auto shape = context->saved_data["shape"].toIntVector();
    const Tensor dy = unit_rows(gradients[0], weight.size(0));
    Tensor dx, dw, da, db, dbias;
    if (context->needs_input_grad(0) || context->needs_input_grad(2)) {
      const Tensor narrow_gradient = low_rank_narrow_gradient(dy, b, context->saved_data["scale"].toDouble());
      if (context->needs_input_grad(0)) {
        dx = at::empty({dy.size(0), weight.size(1)}, dy.options());
        product_out(dx, dy, weight);
        add_low_rank_input_gradient(dx, narrow_gradient, a);
        dx = dx.view(shape);
      }
      if (context->needs_input_grad(2)) da = low_rank_a_gradient(narrow_gradient, unit_rows(input, weight.size(1)), a);
    }
    if (context->needs_input_grad(1)) {
      dw = at::empty(weight.sizes(), weight.options());
      product_out(dw, dy.t(), unit_rows(input, weight.size(1)));
    }
    if (context->needs_input_grad(3)) db = low_rank_b_gradient(dy, narrow, b);
    if (bias.defined() && context->needs_input_grad(4)) dbias = column_sum(dy).to(bias.scalar_type());
    return {dx, dw, da, db, Tensor(), dbias};
  }
};

Tensor low_rank_linear(const Tensor& input, const Tensor& weight, const Tensor& a, const Tensor& b, double scale,
                       const std::optional<Tensor>& bias) {
  const bool on_cpu = Placement::on_cpu("low_rank_linear", input, weight, a, b, bias);
  check_linear(input, weight, bias, "low_rank_linear");
  check_low_rank(a, b, scale, weight.size(0), weight.size(1), "low_rank_linear");
  if (!on_cpu || !is_half(weight) || !fits_low_rank(input, a, b))
    return tunesmith::linear(input, weight, bias)
        .add(tunesmith::linear(tunesmith::linear(input, a, std::nullopt).mul(scale), b, std::nullopt));
  return LowRankLinear::apply(input, weight, a.contiguous(), b.contiguous(), scale,
                              given(bias) ? std::optional<Tensor>(bias->contiguous()) : std::nullopt);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("low_rank_linear(Tensor input, Tensor weight, Tensor a, Tensor b, float scale, Tensor? bias) -> Tensor",
        &low_rank_linear);
}

}  // namespace tunesmith
