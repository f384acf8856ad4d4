// tunesmith::gelu and tunesmith::swiglu, whose input is saved, never the result; tunesmith::soft_cap, the reverse.
#include <ATen/ops/empty_like.h>
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

constexpr int64_t grain = 16384;

// Splits `count` elements of `bytes` size among threads.
template <class Body> void in_parallel(int64_t count, const Body& body) {
  over_values(0, count, grain, [&](int64_t first, int64_t last) { body(first, last - first); });
}
const char* at_element(const Tensor& t, int64_t i) {
  return static_cast<const char*>(address(t)) + i * t.element_size();
}
char* at_mutable_element(const Tensor& t, int64_t i) {
  return static_cast<char*>(mutable_address(t)) + i * t.element_size();
}

struct Gelu : torch::autograd::Function<Gelu> {
  static Tensor forward(AutogradContext* context, const Tensor& input, bool tanh) {
    Tensor x = input.contiguous(), y = at::empty_like(x);
    in_parallel(x.numel(), [&](int64_t i, int64_t n) {
      kernels().gelu(at_element(x, i), type_of(x), at_mutable_element(y, i), n, tanh);
    });
    context->save_for_backward({input});
    context->saved_data["tanh"] = tanh;
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("gelu");
    Tensor x = context->get_saved_variables()[0].contiguous();
    const bool tanh = context->saved_data["tanh"].toBool();
    Tensor dy = gradients[0].to(x.scalar_type()).contiguous(), dx = at::empty_like(x);
    in_parallel(x.numel(), [&](int64_t i, int64_t n) {
      kernels().gelu_backward(at_element(x, i), at_element(dy, i), type_of(x), at_mutable_element(dx, i), n, tanh);
    });
    return {dx, Tensor()};
  }
};

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static Tensor forward(AutogradContext* context, const Tensor& gate, const Tensor& up) {
    Tensor g = gate.contiguous(), u = up.contiguous(), y = at::empty_like(g);
    in_parallel(g.numel(), [&](int64_t i, int64_t n) {
      kernels().swiglu(at_element(g, i), at_element(u, i), type_of(g), at_mutable_element(y, i), n);
    });
    context->save_for_backward({gate, up});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("swiglu");
    auto saved = context->get_saved_variables();
    Tensor g = saved[0].contiguous(), u = saved[1].contiguous();
    Tensor dy = gradients[0].to(g.scalar_type()).contiguous(), dg = at::empty_like(g), du = at::empty_like(u);
    in_parallel(g.numel(), [&](int64_t i, int64_t n) {
      kernels().swiglu_backward(at_element(g, i), at_element(u, i), at_element(dy, i), type_of(g),
                                at_mutable_element(dg, i), at_mutable_element(du, i), n);
    });
    return {dg, du};
  }
};

struct SoftCap : torch::autograd::Function<SoftCap> {
  static Tensor forward(AutogradContext* context, const Tensor& input, double cap) {
    Tensor x = input.contiguous(), y = at::empty_like(x);
    const int64_t width = x.dim() == 0 ? 1 : x.size(-1), rows = width == 0 ? 0 : x.numel() / width;
    over_values(0, rows, std::max<int64_t>(1, grain / std::max<int64_t>(1, width)), [&](int64_t first, int64_t last) {
      kernels().soft_cap(at_element(x, first * width), type_of(x), at_mutable_element(y, first * width), last - first,
                         width, float(cap));
    });
    context->save_for_backward({y});
    context->saved_data["cap"] = cap;
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("soft_cap");
    const Tensor y = context->get_saved_variables()[0];
    const auto cap = float(context->saved_data["cap"].toDouble());
    Tensor dy = gradients[0].to(y.scalar_type()).contiguous(), dx = at::empty_like(y);
    in_parallel(y.numel(), [&](int64_t i, int64_t n) {
      kernels().soft_cap_backward(at_element(y, i), at_element(dy, i), type_of(y), at_mutable_element(dx, i), n, cap);
    });
    return {dx, Tensor()};
  }
};

Tensor soft_cap(const Tensor& input, double cap) {
  check_values(input, "soft_cap", "input");
  check_cap(cap, "soft_cap");
  if (cap == 0) return input;
  return Placement::on_cpu("soft_cap", input) ? SoftCap::apply(input, cap) : plain::soft_cap(input, cap);
}

Tensor gelu(const Tensor& input, c10::string_view approximate) {
  check_values(input, "gelu", "input");
  TORCH_CHECK(approximate == "none" || approximate == "tanh",
              "Expected `none` or `tanh` as `approximate` of tunesmith::gelu, got `", approximate, "`.");
  const bool tanh = approximate == "tanh";
  return Placement::on_cpu("gelu", input) ? Gelu::apply(input, tanh) : plain::gelu(input, tanh);
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  check_values(gate, "swiglu", "gate");
  check_values(up, "swiglu", "up");
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
              "Expected `up` of tunesmith::swiglu to have the shape and type of `gate`, got ", up.sizes(), " ",
              up.scalar_type(), " against ", gate.sizes(), " ", gate.scalar_type(), ".");
  return Placement::on_cpu("swiglu", gate, up) ? SwiGlu::apply(gate, up) : plain::swiglu(gate, up);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("gelu(Tensor input, str approximate='none') -> Tensor", &gelu);
  m.def("soft_cap(Tensor input, float cap) -> Tensor", &soft_cap);
  m.def("swiglu(Tensor gate, Tensor up) -> Tensor", &swiglu);
}

}  // namespace tunesmith
