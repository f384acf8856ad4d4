// tunesmith::embedding: rows of a weight by id. The backward groups the rows by id and adds them in order, so the
// result does not depend on threads.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "checks.h"
#include "plain/plain.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Embedding : torch::autograd::Function<Embedding> {
  static Tensor forward(AutogradContext* context, const Tensor& weight, const Tensor& ids, int64_t padding_idx) {
    Tensor table = weight.contiguous();
    const int64_t width = table.size(1), count = ids.numel(), bytes = width * table.element_size();
    at::DimVector shape(ids.sizes().begin(), ids.sizes().end());
    shape.push_back(width);
    Tensor output = at::empty(shape, weight.options());
    const int64_t* id = ids.const_data_ptr<int64_t>();
    const char* from = static_cast<const char*>(address(table));
    char* to = static_cast<char*>(mutable_address(output));
    over_values(0, count, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, bytes)), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; i++) std::memcpy(to + i * bytes, from + id[i] * bytes, size_t(bytes));
    });
    context->save_for_backward({ids});
    context->saved_data["rows"] = weight.size(0);
    context->saved_data["type"] = int64_t(weight.scalar_type());
    context->saved_data["padding_idx"] = padding_idx;
    return output;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("embedding");
    Tensor ids = context->get_saved_variables()[0], dy = gradients[0].contiguous();
    const int64_t rows = context->saved_data["rows"].toInt(), padding = context->saved_data["padding_idx"].toInt();
    const auto type = at::ScalarType(context->saved_data["type"].toInt());
    const int64_t count = ids.numel(), width = dy.size(-1), bytes = width * dy.element_size();
    Tensor dw = at::zeros({rows, width}, dy.options().dtype(type));
    const int64_t* id = ids.const_data_ptr<int64_t>();
    std::vector<int64_t> order;
    order.reserve(size_t(count));
    for (int64_t i = 0; i < count; i++)
      if (id[i] != padding) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return id[a] < id[b]; });
    std::vector<int64_t> starts;
    for (size_t i = 0; i < order.size(); i++)
      if (i == 0 || id[order[i]] != id[order[i - 1]]) starts.push_back(int64_t(i));
    const int64_t groups = int64_t(starts.size());
    starts.push_back(int64_t(order.size()));
    const char* from = static_cast<const char*>(address(dy));
    std::vector<const void*> pointers(order.size());
    for (size_t i = 0; i < order.size(); i++) pointers[i] = from + order[i] * bytes;
    char* to = static_cast<char*>(mutable_address(dw));
    over_values(0, groups, 16, [&](int64_t first, int64_t last) {
      for (int64_t g = first; g < last; g++)
        kernels().add_rows(pointers.data() + starts[size_t(g)], type_of(dy), starts[size_t(g) + 1] - starts[size_t(g)],
                           width, to + id[order[size_t(starts[size_t(g)])]] * width * dw.element_size(), type_of(dw));
    });
    return {dw, Tensor(), Tensor()};
  }
};

Tensor embedding(const Tensor& weight, const Tensor& ids, int64_t padding_idx) {
  const bool fused = Placement::on_cpu("embedding", weight, ids);
  check_values(weight, "embedding", "weight");
  TORCH_CHECK(weight.dim() == 2, "Expected shape [V,C] for `weight` of tunesmith::embedding, got ", weight.sizes(),
              ".");
  TORCH_CHECK(ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt,
              "Expected int64 ids as `ids` of tunesmith::embedding, got ", ids.scalar_type(), ".");
  TORCH_CHECK(padding_idx >= -1 && padding_idx < weight.size(0), "Expected -1 to ", weight.size(0) - 1,
              " as `padding_idx` of tunesmith::embedding, got ", padding_idx, ".");
  Tensor wide = ids.to(at::kLong).contiguous();
  if (!fused) return plain::embedding(weight, wide, padding_idx);
  const int64_t* id = wide.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < wide.numel(); i++)
    TORCH_CHECK(id[i] >= 0 && id[i] < weight.size(0), "Expected ids from 0 to ", weight.size(0) - 1,
                " for tunesmith::embedding, got ", id[i], " at position ", i, ".");
  return Embedding::apply(weight, wide, padding_idx);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("embedding(Tensor weight, Tensor ids, int padding_idx=-1) -> Tensor", &embedding);
}

}  // namespace tunesmith
