// Layers as compositions: linear, activations, normalisation, embedding, rotary positions.
#include "plain.h"

namespace tunesmith::plain {
namespace {

// The type of 16 bits of a result: that of the first tensor that has one, or else fp32.
at::ScalarType narrow_type(const Tensor& a, const Tensor& b) {
  return a.scalar_type() != at::kFloat ? a.scalar_type() : b.scalar_type();
}

}  // namespace

Tensor linear(const Tensor& input, const Tensor& weight, const Bias& bias) {
  const auto type = input.scalar_type();
  // fp32 beside bf16 is multiplied in fp32, and the result has the type of the input.
  const auto common = weight.scalar_type() == type ? type : at::kFloat;
  return at::linear(input.to(common), weight.to(common), bias ? Bias(bias->to(common)) : bias).to(type);
}

Tensor activate(const Tensor& gate, const Bias& up, c10::string_view activation) {
  const auto approximate = activation == "gelu-tanh" ? "tanh" : "none";
  if (!up && activation != "silu") return at::gelu(gate, approximate);
  const Tensor x = gate.to(at::kFloat), value = activation == "silu" ? at::silu(x) : at::gelu(x, approximate);
  return (up ? value * up->to(at::kFloat) : value).to(gate.scalar_type());
}

Tensor soft_cap(const Tensor& input, double cap) {
  return (at::tanh(input.to(at::kFloat) / cap) * cap).to(input.scalar_type());
}

std::tuple<Tensor, Tensor> add_norm(const Tensor& input, const Bias& residual, const Tensor& weight, const Bias& bias,
                                    double epsilon, bool centered) {
  Tensor sum = input;
  if (residual) {
    const auto type = input.scalar_type() == residual->scalar_type() ? input.scalar_type() : at::kFloat;
    sum = input.to(type) + residual->to(type);
  }
  const Tensor wide = sum.to(at::kFloat), factors = weight.to(at::kFloat);
  Tensor normalized;
  if (centered)
    normalized =
        at::layer_norm(wide, {weight.size(0)}, factors, bias ? Bias(bias->to(at::kFloat)) : Bias(), epsilon, false);
  else
    normalized = wide * at::rsqrt(wide.square().mean(-1, true) + epsilon) * factors;
  return {residual ? sum : input.view_as(input), normalized.to(narrow_type(input, weight))};
}

Tensor embedding(const Tensor& weight, const Tensor& ids, int64_t padding_idx) {
  return at::embedding(weight, ids, padding_idx);
}

Tensor rotary(const Tensor& input, const Tensor& cosine, const Tensor& sine, bool interleaved) {
  const int64_t rotated = 2 * cosine.size(-1);
  const Tensor whole = input.to(at::kFloat), x = whole.narrow(-1, 0, rotated);
  // [T,1,R/2] or [B,T,1,R/2]: one angle for all heads of a token.
  const Tensor c = cosine.unsqueeze(-2), s = sine.unsqueeze(-2);
  const Tensor pairs =
      interleaved ? x.unflatten(-1, {rotated / 2, 2}) : x.unflatten(-1, {2, rotated / 2}).transpose(-1, -2);
  const Tensor first = pairs.select(-1, 0), second = pairs.select(-1, 1);
  const Tensor turned_first = first * c - second * s, turned_second = second * c + first * s;
  const Tensor turned = interleaved ? at::stack({turned_first, turned_second}, -1).flatten(-2)
                                    : at::cat({turned_first, turned_second}, -1);
  const int64_t rest = input.size(-1) - rotated;
  const Tensor all = rest == 0 ? turned : at::cat({turned, whole.narrow(-1, rotated, rest)}, -1);
  return all.to(input.scalar_type());
}

}  // namespace tunesmith::plain
