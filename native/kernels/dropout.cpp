// tunesmith::dropout: the mask is a function of a seed and the element's index, so backward recomputes it instead of
// storing it, and it does not depend on the number of threads.
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "checks.h"
#include "random-seed.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor masked(const Tensor& given, double p, uint64_t seed) {
  Tensor x = given.contiguous(), y = at::empty_like(x);
  const auto threshold = uint32_t(p * 4294967296.0);
  const auto factor = float(1.0 / (1.0 - p));
  const char* from = static_cast<const char*>(address(x));
  char* to = static_cast<char*>(mutable_address(y));
  const int64_t bytes = x.element_size();
  over_values(0, x.numel(), 16384, [&](int64_t first, int64_t last) {
    kernels().dropout(from + first * bytes, type_of(x), to + first * bytes, first, last - first, seed, threshold,
                      factor);
  });
  return y;
}

struct Dropout : torch::autograd::Function<Dropout> {
  static Tensor forward(AutogradContext* context, const Tensor& input, double p, int64_t seed) {
    context->saved_data["p"] = p;
    context->saved_data["seed"] = seed;
    return masked(input, p, uint64_t(seed));
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("dropout");
    const auto seed = uint64_t(context->saved_data["seed"].toInt());
    return {masked(gradients[0], context->saved_data["p"].toDouble(), seed), Tensor(), Tensor()};
  }
};

Tensor dropout(const Tensor& input, double p, const std::optional<at::Generator>& generator) {
  check_float(input, "dropout", "input");
  check_probability(p, "dropout");
  if (p == 0) return input.view_as(input);
  return Dropout::apply(input, p, int64_t(draw_seed(generator)));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("dropout(Tensor input, float p, Generator? generator) -> Tensor", &dropout);
}

}  // namespace tunesmith
