// Shapes for plans: from libtorch's Meta kernels, and from rules for the operators that have none in C++.
#include "planned-shapes.h"

#include <ATen/ATen.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "planning.h"

namespace tunesmith {
namespace {

using at::Tensor;
using c10::IValue;
using torch::jit::Stack;

Tensor without_values(const Tensor& t) {
  return t.defined() ? at::empty_strided(t.sizes(), t.strides(), t.options().device(at::kMeta)) : t;
}

using Rule = void (*)(const Stack& arguments, Stack& results);

Tensor meta_of(at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions().dtype(type).device(at::kMeta));
}
Tensor meta_of(at::IntArrayRef sizes, const Tensor& like) { return meta_of(sizes, like.scalar_type()); }

// The result has the shape and dtype of argument `i`.
template <size_t i> void same_as(const Stack& a, Stack& out) { out.emplace_back(without_values(tensor_at(a, i))); }
void scalar(const Stack& a, Stack& out) { out.emplace_back(meta_of({}, tensor_at(a, 0))); }
void two_scalars(const Stack& a, Stack& out) {
  scalar(a, out);
  scalar(a, out);
}
void truth(const Stack& a, Stack& out) { out.emplace_back(meta_of(tensor_at(a, 0).sizes(), at::kBool)); }
void truth_of_both(const Stack& a, Stack& out) {
  out.emplace_back(meta_of(at::infer_size(tensor_at(a, 0).sizes(), tensor_at(a, 1).sizes()), at::kBool));
}

// Sums over the dimensions of argument 1, or all; argument 3 keeps them with size 1.
void reduced(const Stack& a, Stack& out) {
  const Tensor& x = tensor_at(a, 0);
  std::vector<bool> gone(static_cast<size_t>(x.dim()), a[1].isNone());
  if (!a[1].isNone())
    for (const int64_t dim : a[1].toDimVector()) gone[static_cast<size_t>(at::maybe_wrap_dim(dim, x.dim()))] = true;
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < x.dim(); i++)
    if (!gone[static_cast<size_t>(i)])
      sizes.push_back(x.size(i));
    else if (a[3].toBool())
      sizes.push_back(1);
  out.emplace_back(meta_of(sizes, x));
}

// A loss of argument 0, with the reduction in argument `i`: 0 is none.
template <size_t i> void loss(const Stack& a, Stack& out) {
  if (a[i].toInt() == 0)
    same_as<0>(a, out);
  else
    scalar(a, out);
}

void index_select(const Stack& a, Stack& out) {
  auto sizes = tensor_at(a, 0).sizes().vec();
  if (!sizes.empty()) sizes[size_t(at::maybe_wrap_dim(a[1].toInt(), int64_t(sizes.size())))] = tensor_at(a, 2).numel();
  out.emplace_back(meta_of(sizes, tensor_at(a, 0)));
}

void where(const Stack& a, Stack& out) {
  const auto sizes =
      at::infer_size(tensor_at(a, 0).sizes(), at::infer_size(tensor_at(a, 1).sizes(), tensor_at(a, 2).sizes()));
  out.emplace_back(meta_of(sizes, at::result_type(tensor_at(a, 1), tensor_at(a, 2))));
}

void layer_norm(const Stack& a, Stack& out) {
  const Tensor& x = tensor_at(a, 0);
  auto sizes = x.sizes().vec();
  const size_t normal = a[1].toDimVector().size();
  for (size_t i = 0; i < normal; i++) sizes[sizes.size() - 1 - i] = 1;
  out.emplace_back(meta_of(x.sizes(), x));
  out.emplace_back(meta_of(sizes, x));
  out.emplace_back(meta_of(sizes, x));
}

void layer_norm_backward(const Stack& a, Stack& out) {
  same_as<1>(a, out);
  for (const size_t i : {5, 6}) out.emplace_back(a[i].isTensor() ? without_values(a[i].toTensor()) : Tensor());
}

// Heads [B,H,T,D], stored token by token.
void attention_of_heads(const Stack& a, Stack& out) {
  const Tensor &q = tensor_at(a, 0), &v = tensor_at(a, 2);
  out.emplace_back(meta_of({q.size(0), q.size(2), q.size(1), v.size(3)}, q).transpose(1, 2));
  out.emplace_back(meta_of({q.size(0), q.size(2), q.size(1)}, at::kFloat).transpose(1, 2));
}
void attention_of_heads_backward(const Stack& a, Stack& out) {
  same_as<1>(a, out);
  same_as<2>(a, out);
  same_as<3>(a, out);
}

void sampled(const Stack& a, Stack& out) {
  auto sizes = tensor_at(a, 0).sizes().vec();
  sizes.back() = a[1].toInt();
  out.emplace_back(meta_of(sizes, at::kLong));
}

// Operators without a Meta kernel in libtorch: the results as Meta tensors.
const std::unordered_map<std::string, Rule>& rules() {
  static const std::unordered_map<std::string, Rule> all = {
      {"aten::abs", same_as<0>},
      {"aten::relu", same_as<0>},
      {"aten::flip", same_as<0>},
      {"aten::roll", same_as<0>},
      {"aten::isnan", truth},
      {"aten::logical_not", truth},
      {"aten::logical_and", truth_of_both},
      {"aten::logical_or", truth_of_both},
      {"aten::logical_xor", truth_of_both},
      {"aten::where", where},
      {"aten::index_select", index_select},
      {"aten::embedding_dense_backward",
       [](const Stack& a, Stack& out) {
         out.emplace_back(meta_of({a[2].toInt(), tensor_at(a, 0).size(-1)}, tensor_at(a, 0)));
       }},
      {"aten::native_layer_norm", layer_norm},
      {"aten::native_layer_norm_backward", layer_norm_backward},
      {"aten::searchsorted",
       [](const Stack& a, Stack& out) {
         out.emplace_back(meta_of(tensor_at(a, 1).sizes(), a[2].toBool() ? at::kInt : at::kLong));
       }},
      {"aten::max", scalar},
      {"aten::min", scalar},
      {"aten::prod", scalar},
      {"aten::dot", scalar},
      {"aten::trace", scalar},
      {"aten::std", reduced},
      {"aten::var", reduced},
      {"aten::log_sigmoid_forward",
       [](const Stack& a, Stack& out) {
         same_as<0>(a, out);
         out.emplace_back(meta_of({0}, tensor_at(a, 0)));
       }},
      {"aten::log_sigmoid_backward", same_as<1>},
      {"aten::mse_loss_backward", same_as<1>},
      {"aten::smooth_l1_loss_backward", same_as<1>},
      {"aten::huber_loss_backward", same_as<1>},
      {"aten::binary_cross_entropy", loss<3>},
      {"aten::binary_cross_entropy_backward", same_as<1>},
      {"aten::nll_loss2d_forward", two_scalars},
      {"aten::nll_loss2d_backward", same_as<1>},
      {"aten::multinomial", sampled},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", attention_of_heads},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward", attention_of_heads_backward},
  };
  return all;
}

// Whether libtorch composes an operator of others.
bool is_composed(const c10::OperatorHandle& op) {
  using Key = c10::DispatchKey;
  for (const Key key :
       {Key::CompositeExplicitAutograd, Key::CompositeExplicitAutogradNonFunctional, Key::CompositeImplicitAutograd})
    if (op.hasKernelForDispatchKey(key)) return true;
  return false;
}

IValue meta_argument(const IValue& value) {
  if (value.isTensor()) return without_values(value.toTensor());
  if (value.isDevice()) return c10::Device(at::kMeta);
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const Tensor& t : value.toTensorList()) list.push_back(without_values(t));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const std::optional<Tensor> t : value.toOptionalTensorList())
      list.push_back(t.has_value() && t->defined() ? std::optional<Tensor>(without_values(*t)) : t);
    return list;
  }
  return value;
}

}  // namespace

void shapes_of(const c10::OperatorHandle& op, const Stack& arguments, Stack& results) {
  ComputeValues values;
  Stack meta;
  for (const IValue& value : arguments) meta.push_back(meta_argument(value));
  if (!op.hasKernelForDispatchKey(c10::DispatchKey::Meta)) {
    const auto rule = rules().find(op.schema().name());
    if (rule != rules().end()) {
      rule->second(meta, results);
      return;
    }
    // Its fallback for Meta only throws, in many words.
    TORCH_CHECK_NOT_IMPLEMENTED(is_composed(op), "Expected an operator whose shapes a plan knows, got ",
                                op.schema().name(), ". Choose other settings, or run without a plan.");
  }
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::Meta), &meta);
  results = std::move(meta);
}

}  // namespace tunesmith
