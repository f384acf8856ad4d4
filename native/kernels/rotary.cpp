// tunesmith::rotary: rotates the first R of D values of every head by its position's angles. The backward is the
// rotation by the opposite angles, so only cos and sin are kept.
#include <ATen/ops/empty.h>
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

Tensor rotate(const Tensor& given, const Tensor& cosine, const Tensor& sine, bool interleaved, bool inverse) {
  Tensor x = given.stride(3) == 1 || given.size(3) == 1 ? given : given.contiguous();
  const int64_t batches = x.size(0), tokens = x.size(1), heads = x.size(2), size = x.size(3);
  const int64_t half = cosine.size(-1), bytes = x.element_size();
  Tensor y = at::empty(x.sizes(), x.options());
  const char* from = static_cast<const char*>(address(x));
  char* to = static_cast<char*>(mutable_address(y));
  const float* c = cosine.const_data_ptr<float>();
  const float* s = sine.const_data_ptr<float>();
  const bool per_batch = cosine.dim() == 3;
  const int64_t grain = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, heads * size));
  over_values(0, batches * tokens, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t b = i / tokens, t = i % tokens, row = (per_batch ? i : t) * half;
      for (int64_t h = 0; h < heads; h++)
        kernels().rotary_row(from + (b * x.stride(0) + t * x.stride(1) + h * x.stride(2)) * bytes, type_of(x),
                             to + (i * heads + h) * size * bytes, c + row, s + row, size, 2 * half, interleaved,
                             inverse);
    }
  });
  return y;
}

struct Rotary : torch::autograd::Function<Rotary> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& cosine, const Tensor& sine,
                        bool interleaved) {
    context->save_for_backward({cosine, sine});
    context->saved_data["interleaved"] = interleaved;
    return rotate(input, cosine, sine, interleaved, false);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("rotary");
    auto saved = context->get_saved_variables();
    return {rotate(gradients[0], saved[0], saved[1], context->saved_data["interleaved"].toBool(), true), {}, {}, {}};
  }
};

Tensor rotary(const Tensor& input, const Tensor& cosine, const Tensor& sine, bool interleaved) {
  const bool fused = Placement::on_cpu("rotary", input, cosine, sine);
  check_values(input, "rotary", "input");
  TORCH_CHECK(input.dim() == 4, "Expected shape [B,T,H,D] for `input` of tunesmith::rotary, got ", input.sizes(), ".");
  check_values(cosine, "rotary", "cos");
  check_values(sine, "rotary", "sin");
  TORCH_CHECK(!wants_gradient(cosine, sine), "Expected cos and sin without gradient in tunesmith::rotary.");
  const bool per_batch = cosine.dim() == 3;
  TORCH_CHECK((cosine.dim() == 2 || (per_batch && cosine.size(0) == input.size(0))) && cosine.sizes() == sine.sizes() &&
                  cosine.size(-2) == input.size(1) && 2 * cosine.size(-1) <= input.size(3),
              "Expected cos and sin [T,R/2] or [B,T,R/2] with R at most D for tunesmith::rotary, got ", cosine.sizes(),
              " and ", sine.sizes(), " against input ", input.sizes(), ".");
  const Tensor c = cosine.to(at::kFloat).contiguous(), s = sine.to(at::kFloat).contiguous();
  return fused ? Rotary::apply(input, c, s, interleaved) : plain::rotary(input, c, s, interleaved);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("rotary(Tensor input, Tensor cos, Tensor sin, bool interleaved=False) -> Tensor", &rotary);
}

}  // namespace tunesmith
