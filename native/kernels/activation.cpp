// tunesmith::gelu, tunesmith::swiglu and tunesmith::geglu, whose input is saved, never the result; tunesmith::soft_cap,
// the reverse.
#include "activation.h"

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

const void* place(const Tensor& t, int64_t i) { return t.defined() ? at_element(t, i) : nullptr; }
void* mutable_place(const Tensor& t, int64_t i) { return t.defined() ? at_mutable_element(t, i) : nullptr; }

}  // namespace

void check_gate(const Tensor& gate, const Tensor& up, const char* op) {
  check_values(up, op, "up");
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(), "Expected `up` of tunesmith::", op,
              " to have the shape and type of `gate`, got ", up.sizes(), " ", up.scalar_type(), " against ",
              gate.sizes(), " ", gate.scalar_type(), ".");
}

void activate(const Tensor& gate, const Tensor& up, const Tensor& y, Curve curve) {
  in_parallel(y.numel(), [&](int64_t i, int64_t n) {
    kernels().activate(at_element(gate, i), place(up, i), type_of(gate), at_mutable_element(y, i), n, curve);
  });
}

void activate_backward(const Tensor& gate, const Tensor& up, const Tensor& gradient, const ActivationGradients& out,
                       Curve curve) {
  in_parallel(gate.numel(), [&](int64_t i, int64_t n) {
    kernels().activate_backward({place(gate, i), place(up, i), place(gradient, i), mutable_place(out.gate, i),
                                 mutable_place(out.up, i), mutable_place(out.y, i), type_of(gate), curve},
                                n);
  });
}

namespace {

struct Activate : torch::autograd::Function<Activate> {
  static Tensor forward(AutogradContext* context, const Tensor& gate, const std::optional<Tensor>& up, Curve curve) {
    const Tensor g = gate.contiguous(), u = up ? up->contiguous() : Tensor(), y = at::empty_like(g);
    activate(g, u, y, curve);
    context->save_for_backward({gate, up.value_or(Tensor())});
    context->saved_data["curve"] = int64_t(curve);
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto curve = Curve(context->saved_data["curve"].toInt());
    check_first_derivative(!saved[1].defined() ? "gelu" : curve == Curve::silu ? "swiglu" : "geglu");
    const Tensor g = saved[0].contiguous(), u = saved[1].defined() ? saved[1].contiguous() : Tensor();
    const Tensor dg = at::empty_like(g), du = u.defined() ? at::empty_like(u) : Tensor();
    activate_backward(g, u, gradients[0].to(g.scalar_type()).contiguous(), {dg, du, Tensor()}, curve);
    return {dg, du, Tensor()};
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

// GELU by tanh, or exact.
bool by_tanh(c10::string_view approximate, const char* op) {
  TORCH_CHECK(approximate == "none" || approximate == "tanh",
              "Expected `none` or `tanh` as `approximate` of tunesmith::", op, ", got `", approximate, "`.");
  return approximate == "tanh";
}

Tensor gelu(const Tensor& input, c10::string_view approximate) {
  check_values(input, "gelu", "input");
  const bool tanh = by_tanh(approximate, "gelu");
  if (!Placement::on_cpu("gelu", input)) return plain::activate(input, {}, tanh ? "gelu-tanh" : "gelu");
  return Activate::apply(input, std::optional<Tensor>(), tanh ? Curve::gelu_tanh : Curve::gelu);
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  check_values(gate, "swiglu", "gate");
  check_gate(gate, up, "swiglu");
  if (!Placement::on_cpu("swiglu", gate, up)) return plain::activate(gate, up, "silu");
  return Activate::apply(gate, std::optional<Tensor>(up), Curve::silu);
}

Tensor geglu(const Tensor& gate, const Tensor& up, c10::string_view approximate) {
  check_values(gate, "geglu", "gate");
  check_gate(gate, up, "geglu");
  const bool tanh = by_tanh(approximate, "geglu");
  if (!Placement::on_cpu("geglu", gate, up)) return plain::activate(gate, up, tanh ? "gelu-tanh" : "gelu");
  return Activate::apply(gate, std::optional<Tensor>(up), tanh ? Curve::gelu_tanh : Curve::gelu);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("gelu(Tensor input, str approximate='none') -> Tensor", &gelu);
  m.def("soft_cap(Tensor input, float cap) -> Tensor", &soft_cap);
  m.def("geglu(Tensor gate, Tensor up, str approximate='none') -> Tensor", &geglu);
  m.def("swiglu(Tensor gate, Tensor up) -> Tensor", &swiglu);
}

}  // namespace tunesmith
