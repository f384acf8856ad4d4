// tunesmith::dropout: the mask is a function of a seed, of the key of the element's row and of its column, so backward
// recomputes it instead of storing it, and it depends neither on the number of threads nor on the rows beside it.
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "checks.h"
#include "plain/plain.h"
#include "random-seed.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Without keys the elements have numbers, in rows of this width.
constexpr int64_t unkeyed_width = int64_t(1) << 30;

Tensor masked(const Tensor& given, double p, uint64_t seed, const Tensor& row_keys) {
  Tensor x = given.contiguous(), y = at::empty_like(x);
  Dropout job{};
  job.input = address(x);
  job.output = mutable_address(y);
  job.type = type_of(x);
  job.width = row_keys.defined() ? std::max<int64_t>(1, x.size(-1)) : unkeyed_width;
  job.row_keys = row_keys.defined() ? row_keys.const_data_ptr<int64_t>() : nullptr;
  job.seed = seed;
  job.threshold = uint32_t(p * 4294967296.0);
  job.factor = float(1.0 / (1.0 - p));
  over_values(0, x.numel(), 16384, [&](int64_t first, int64_t last) { kernels().dropout(job, first, last); });
  return y;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& input, double p, int64_t seed,
                        const std::optional<Tensor>& row_keys) {
    context->saved_data["p"] = p;
    context->saved_data["seed"] = seed;
    const Tensor keys = row_keys.value_or(Tensor());
    context->save_for_backward({keys});
    return masked(input, p, uint64_t(seed), keys);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("dropout");
    const auto seed = uint64_t(context->saved_data["seed"].toInt());
    const Tensor row_keys = context->get_saved_variables()[0];
    return {masked(gradients[0], context->saved_data["p"].toDouble(), seed, row_keys), Tensor(), Tensor(), Tensor()};
  }
};

Tensor dropout(const Tensor& input, double p, const std::optional<at::Generator>& generator,
               const std::optional<Tensor>& row_keys) {
  const bool fused = Placement::on_cpu("dropout", input, row_keys);
  check_values(input, "dropout", "input");
  check_probability(p, "dropout");
  std::optional<Tensor> keys;
  if (given(row_keys)) {
    TORCH_CHECK(input.dim() > 0, "Expected rows as `input` of tunesmith::dropout with `row_keys`, got a scalar.");
    keys = checked_keys(*row_keys, input.numel() / std::max<int64_t>(1, input.size(-1)), "dropout");
  }
  if (p == 0) return input.view_as(input);
  const uint64_t seed = draw_seed(generator);
  return fused ? DropoutFunction::apply(input, p, int64_t(seed), keys) : plain::dropout(input, p, seed, keys);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("dropout(Tensor input, float p, Generator? generator, Tensor? row_keys=None) -> Tensor", &dropout);
}

}  // namespace tunesmith
