// tunesmith::linear_cross_entropy: output projection and softmax loss in chunks of rows, so the logits of the whole
// batch never exist. The gradients are computed in forward, while a chunk's logits exist.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "checks.h"
#include "plain/plain.h"
#include "product.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Settings {
  int64_t vocab_size, ignore_index, chunk_size;
  double label_smoothing;
  bool wants_gradient;
  double softcap;
};

// Indices of the rows whose target is not ignored. Throws an error for a target outside the vocabulary, with its row.
std::vector<int64_t> kept_rows(const Tensor& targets, const Settings& settings) {
  const int64_t* ids = targets.const_data_ptr<int64_t>();
  std::vector<int64_t> kept;
  kept.reserve(size_t(targets.numel()));
  for (int64_t i = 0; i < targets.numel(); i++) {
    if (ids[i] == settings.ignore_index) continue;
    TORCH_CHECK(ids[i] >= 0 && ids[i] < settings.vocab_size, "Expected targets from 0 to ", settings.vocab_size - 1,
                " for tunesmith::linear_cross_entropy, got ", ids[i], " at row ", i, ".");
    kept.push_back(i);
  }
  return kept;
}

void copy_rows(const Tensor& from, const Tensor& to, const std::vector<int64_t>& rows, int64_t first, int64_t count) {
  const char* source = static_cast<const char*>(address(from));
  char* target = static_cast<char*>(mutable_address(to));
  const int64_t bytes = from.size(1) * from.element_size();
  over_values(0, count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) std::memcpy(target + i * bytes, source + rows[first + i] * bytes, bytes);
  });
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static variable_list forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight,
                               const std::optional<Tensor>& bias, const Tensor& targets, const Settings& settings) {
    const int64_t columns = weight.size(1), classes = weight.size(0);
    Tensor x = hidden.reshape({-1, columns}).contiguous();
    const std::vector<int64_t> rows = kept_rows(targets, settings);
    const int64_t total = int64_t(rows.size()), all = x.size(0);
    const bool every = total == all;
    const bool train = settings.wants_gradient;
    const int64_t chunk = std::max<int64_t>(1, std::min(settings.chunk_size, total));
    const bool aten = has_native_bfloat16() && is_half(x) && is_half(weight);
    const auto logits_type = aten ? at::kBFloat16 : at::kFloat;
    Tensor logits = at::empty({chunk, classes}, x.options().dtype(logits_type));
    Tensor gathered = every ? Tensor() : at::empty({chunk, columns}, x.options());
    const bool train_hidden = train && hidden.requires_grad();
    Tensor dx, dx_chunk;
    if (train_hidden) dx = every ? at::empty(x.sizes(), x.options()) : at::zeros(x.sizes(), x.options());
    if (train_hidden && !every) dx_chunk = at::empty({chunk, columns}, x.options());
    // Summed over chunks in fp32 and rounded once; ATen's bf16 product can only add to bf16.
    Tensor dw, db;
    const auto sum_options = x.options().dtype(aten ? at::kBFloat16 : at::kFloat);
    if (train && weight.requires_grad())
      dw = total == 0 ? at::zeros(weight.sizes(), sum_options) : at::empty(weight.sizes(), sum_options);
    if (train && bias && bias->requires_grad()) db = at::zeros({classes}, x.options().dtype(at::kFloat));
    const int64_t* ids = targets.const_data_ptr<int64_t>();
    std::vector<float> losses(static_cast<size_t>(chunk));
    double sum = 0;

    for (int64_t at = 0; at < total; at += chunk) {
      const int64_t count = std::min(chunk, total - at);
      Tensor part = every ? x.narrow(0, at, count) : gathered.narrow(0, 0, count);
      if (!every) copy_rows(x, part, rows, at, count);
      Tensor scores = logits.narrow(0, 0, count);
      product_out(scores, part, weight.t(), bias ? bias->to(logits_type) : Tensor());
      char* base = static_cast<char*>(mutable_address(scores));
      const int64_t bytes = classes * scores.element_size();
      const Type type = type_of(scores);
      over_values(0, count, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          EntropyRow row{settings.vocab_size,    classes, ids[rows[at + i]], float(settings.label_smoothing), train,
                         float(settings.softcap)};
          losses[size_t(i)] = kernels().entropy_row(row, base + i * bytes, type);
        }
      });
      for (int64_t i = 0; i < count; i++) sum += losses[size_t(i)];
      if (!train) continue;
      if (train_hidden) {
        Tensor target = every ? dx.narrow(0, at, count) : dx_chunk.narrow(0, 0, count);
        product_out(target, scores, weight);
        if (!every && !planning()) {
          const int64_t row_bytes = columns * x.element_size();
          char* to = static_cast<char*>(mutable_address(dx));
          const char* from = static_cast<const char*>(address(target));
          for (int64_t i = 0; i < count; i++)
            std::memcpy(to + rows[at + i] * row_bytes, from + i * row_bytes, row_bytes);
        }
      }
      if (dw.defined()) product_out(dw, scores.t(), part, {}, at > 0);
      if (db.defined()) db.add_(column_sum(scores));
    }

    Tensor loss = at::empty({}, x.options().dtype(at::kFloat)), weight_sum = at::empty({}, loss.options());
    *loss.mutable_data_ptr<float>() = float(sum);
    *weight_sum.mutable_data_ptr<float>() = float(total);
    context->mark_non_differentiable({weight_sum});
    context->set_materialize_grads(false);
    if (train) {
      if (dw.defined()) dw = dw.to(weight.scalar_type());
      if (db.defined()) db = db.to(bias->scalar_type());
      context->save_for_backward({dx.defined() ? dx.view(hidden.sizes()) : dx, dw, db});
    }
    return {loss, weight_sum};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("linear_cross_entropy");
    if (!gradients[0].defined()) return {{}, {}, {}, {}, {}};
    auto saved = context->get_saved_variables();
    const float factor = gradients[0].to(at::kFloat).item<float>();
    variable_list results(5);
    for (size_t i = 0; i < 3; i++) {
      if (!saved[i].defined()) continue;
      results[i] = factor == 1.0f ? saved[i] : saved[i].mul(factor);
    }
    return results;
  }
};

std::tuple<Tensor, Tensor> linear_cross_entropy(const Tensor& hidden, const Tensor& weight,
                                                const std::optional<Tensor>& bias, const Tensor& targets,
                                                int64_t vocab_size, int64_t ignore_index, double label_smoothing,
                                                int64_t chunk_size, double softcap) {
  const char* op = "linear_cross_entropy";
  const bool fused = Placement::on_cpu(op, hidden, weight, bias, targets);
  check_values(hidden, op, "hidden");
  check_values(weight, op, "weight");
  TORCH_CHECK(weight.dim() == 2 && weight.size(0) > 0 && weight.size(1) > 0,
              "Expected shape [V,C] for `weight` of tunesmith::linear_cross_entropy, got ", weight.sizes(), ".");
  TORCH_CHECK(hidden.dim() >= 1 && hidden.size(-1) == weight.size(1), "Expected shape [...,", weight.size(1),
              "] for `hidden` of tunesmith::linear_cross_entropy, got ", hidden.sizes(), ".");
  if (given(bias)) check_vector_values(*bias, weight.size(0), op, "bias");
  TORCH_CHECK(targets.scalar_type() == at::kLong || targets.scalar_type() == at::kInt,
              "Expected int64 ids as `targets` of tunesmith::linear_cross_entropy, got ", targets.scalar_type(), ".");
  TORCH_CHECK(targets.sizes() == hidden.sizes().slice(0, size_t(hidden.dim() - 1)), "Expected shape ",
              hidden.sizes().slice(0, size_t(hidden.dim() - 1)),
              " for `targets` of tunesmith::linear_cross_entropy, got ", targets.sizes(), ".");
  TORCH_CHECK(vocab_size == -1 || (vocab_size > 0 && vocab_size <= weight.size(0)), "Expected 1 to ", weight.size(0),
              " as `vocab_size` of tunesmith::linear_cross_entropy, got ", vocab_size, ".");
  TORCH_CHECK(label_smoothing >= 0 && label_smoothing < 1,
              "Expected a number from 0 to below 1 as `label_smoothing` of tunesmith::linear_cross_entropy, got ",
              label_smoothing, ".");
  TORCH_CHECK(chunk_size > 0, "Expected at least 1 as `chunk_size` of tunesmith::linear_cross_entropy, got ",
              chunk_size, ".");
  check_cap(softcap, op);
  Settings settings{vocab_size == -1 ? weight.size(0) : vocab_size,          ignore_index, chunk_size, label_smoothing,
                    wants_gradient(hidden, weight, bias.value_or(Tensor())), softcap};
  if (!fused)
    return plain::linear_cross_entropy(hidden, weight, given(bias), targets.to(at::kLong),
                                       {settings.vocab_size, ignore_index, chunk_size, label_smoothing, softcap});
  auto results = LinearCrossEntropy::apply(hidden, weight, given(bias), targets.to(at::kLong).contiguous(), settings);
  return {results[0], results[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def(
      "linear_cross_entropy(Tensor hidden, Tensor weight, Tensor? bias, Tensor targets, int vocab_size=-1, "
      "int ignore_index=-100, float label_smoothing=0.0, int chunk_size=512, float softcap=0.0) -> (Tensor loss_sum, "
      "Tensor count)",
      &linear_cross_entropy);
}

}  // namespace tunesmith
