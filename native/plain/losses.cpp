// Losses over a vocabulary in chunks of rows, so that the logits of the whole batch never exist. The gradients of a
// chunk come from autograd, as soon as its loss exists or, where their factors arrive in backward or must not be
// rounded away (fp16), from its logits computed again. Nothing is read on the host.
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "../accelerator.h"
#include "plain.h"

namespace tunesmith::plain {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor logits_of(const Tensor& x, const Tensor& weight, const Bias& bias, double softcap) {
  const Tensor logits = plain::linear(x, weight, bias).to(at::kFloat);
  return softcap > 0 ? plain::soft_cap(logits, softcap) : logits;
}

// The arguments of a loss whose gradients are wanted, without history, and the sums of their gradients over chunks.
struct Gradients {
  Tensor x, weight;
  Bias bias;
  bool of_rows, of_weight, of_bias;
  Tensor rows, matrix, offset;

  Gradients(const Tensor& hidden, const Tensor& given_weight, const Bias& given_bias, bool wanted)
      : x(hidden.detach().reshape({-1, given_weight.size(1)})),
        weight(given_weight.detach()),
        bias(given_bias ? Bias(given_bias->detach()) : Bias()),
        of_rows(wanted && hidden.requires_grad()),
        of_weight(wanted && given_weight.requires_grad()),
        of_bias(wanted && given_bias && given_bias->requires_grad()) {
    if (of_rows) rows = at::empty_like(x);
    // Summed over chunks in fp32 and rounded once.
    if (of_weight) matrix = at::zeros(weight.sizes(), weight.options().dtype(at::kFloat));
    if (of_bias) offset = at::zeros(bias->sizes(), bias->options().dtype(at::kFloat));
    if (of_weight) weight.set_requires_grad(true);
    if (of_bias) bias->set_requires_grad(true);
  }

  bool any() const { return of_rows || of_weight || of_bias; }

  // Adds the gradients of `loss(rows)` for rows from `first` on; its result times `factor`, or a scalar without one.
  template <class Loss> Tensor add(int64_t first, int64_t count, const Tensor& factor, const Loss& loss) {
    const at::AutoGradMode recorded(any());
    Tensor part = x.narrow(0, first, count).detach();
    if (of_rows) part.set_requires_grad(true);
    const Tensor value = loss(part);
    if (!any()) return value;
    variable_list inputs;
    if (of_rows) inputs.push_back(part);
    if (of_weight) inputs.push_back(weight);
    if (of_bias) inputs.push_back(*bias);
    variable_list found =
        torch::autograd::grad({value}, inputs, factor.defined() ? variable_list{factor} : variable_list{});
    const at::NoGradGuard no_grad;
    size_t i = 0;
    if (of_rows) rows.narrow(0, first, count).copy_(found[i++]);
    if (of_weight) matrix.add_(found[i++]);
    if (of_bias) offset.add_(found[i++]);
    return value.detach();
  }

  variable_list results(const Tensor& hidden) const {
    return {of_rows ? rows.view(hidden.sizes()) : Tensor(), of_weight ? matrix.to(weight.scalar_type()) : Tensor(),
            of_bias ? offset.to(bias->scalar_type()) : Tensor()};
  }
};

bool wants_gradient(const Tensor& hidden, const Tensor& weight, const Bias& bias) {
  return at::GradMode::is_enabled() &&
         (hidden.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad()));
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static variable_list forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight, const Bias& bias,
                               const Tensor& targets, const CrossEntropy& settings, bool wanted) {
    const Tensor ids = targets.flatten();
    // In fp16 the factor of the loss, in which its scale is, decides which gradients are zero and which are infinite.
    const bool later = wanted && hidden.scalar_type() == at::kHalf;
    Gradients gradients(hidden, weight, bias, wanted && !later);
    Tensor sum = at::zeros({}, hidden.options().dtype(at::kFloat));
    for (int64_t at = 0; at < ids.numel(); at += settings.chunk_size) {
      const int64_t count = std::min(settings.chunk_size, ids.numel() - at);
      sum.add_(gradients.add(at, count, {}, [&](const Tensor& part) {
        return loss_of(part, gradients.weight, gradients.bias, ids.narrow(0, at, count), settings);
      }));
    }
    const Tensor counted = ids.ne(settings.ignore_index).sum().to(at::kFloat);
    context->mark_non_differentiable({counted});
    context->set_materialize_grads(false);
    context->saved_data["later"] = later;
    if (later) {
      for (const auto& [name, value] : {std::pair<const char*, int64_t>("vocabulary", settings.vocab_size),
                                        {"ignored", settings.ignore_index},
                                        {"chunk", settings.chunk_size}})
        context->saved_data[name] = value;
      context->saved_data["smoothing"] = settings.label_smoothing;
      context->saved_data["softcap"] = settings.softcap;
      context->save_for_backward({hidden, weight, bias.value_or(Tensor()), targets});
    } else if (wanted) {
      context->save_for_backward(gradients.results(hidden));
    }
    return {sum, counted};
  }

  static variable_list backward(AutogradContext* context, variable_list factors) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no second derivative of tunesmith::linear_cross_entropy, got ",
                "create_graph. Compose it of plain operators instead.");
    variable_list results(6);
    if (!factors[0].defined()) return results;
    const variable_list saved = context->get_saved_variables();
    if (context->saved_data["later"].toBool()) return computed(context, saved, factors[0].to(at::kFloat));
    for (size_t i = 0; i < saved.size(); i++)
      if (saved[i].defined()) results[i] = saved[i].mul(factors[0].to(saved[i].scalar_type()));
    return results;
  }

 private:
  // fp32 scalar.
  static Tensor loss_of(const Tensor& x, const Tensor& weight, const Bias& bias, const Tensor& ids,
                        const CrossEntropy& settings) {
    const Tensor logits = logits_of(x, weight, bias, settings.softcap);
    return at::cross_entropy_loss(logits.narrow(1, 0, settings.vocab_size), ids, {}, at::Reduction::Sum,
                                  settings.ignore_index, settings.label_smoothing);
  }

  static variable_list computed(AutogradContext* context, const variable_list& saved, const Tensor& factor) {
    const auto& data = context->saved_data;
    const CrossEntropy settings{data.at("vocabulary").toInt(), data.at("ignored").toInt(), data.at("chunk").toInt(),
                                data.at("smoothing").toDouble(), data.at("softcap").toDouble()};
    const Tensor ids = saved[3].flatten();
    Gradients gradients(saved[0], saved[1], saved[2].defined() ? Bias(saved[2]) : Bias(), true);
    for (int64_t at = 0; at < ids.numel(); at += settings.chunk_size) {
      const int64_t count = std::min(settings.chunk_size, ids.numel() - at);
      gradients.add(at, count, factor, [&](const Tensor& part) {
        return loss_of(part, gradients.weight, gradients.bias, ids.narrow(0, at, count), settings);
      });
    }
    variable_list results = gradients.results(saved[0]);
    results.resize(6);
    return results;
  }
};

struct TokenLogProbs : torch::autograd::Function<TokenLogProbs> {
  static variable_list forward(AutogradContext* context, const Tensor& hidden, const Tensor& weight, const Bias& bias,
                               const Tensor& targets, const LogProbs& settings, bool wanted) {
    const Tensor ids = targets.flatten(), x = hidden.reshape({-1, weight.size(1)});
    const auto options = hidden.options().dtype(at::kFloat);
    Tensor log_probs = at::empty(ids.sizes(), options), entropy = at::empty(ids.sizes(), options),
           log_power = at::empty(ids.sizes(), options);
    for (int64_t at = 0; at < ids.numel(); at += settings.chunk_size) {
      const int64_t count = std::min(settings.chunk_size, ids.numel() - at);
      const Tensor all = distribution(x.narrow(0, at, count), weight, bias, settings.temperature, settings.softcap);
      log_probs.narrow(0, at, count).copy_(all.gather(1, ids.narrow(0, at, count).unsqueeze(1)).squeeze(1));
      // A probability of zero times a logit of minus infinity would be NaN.
      entropy.narrow(0, at, count).copy_(all.exp().mul(all.clamp_min(-1e30)).sum(1).neg());
      log_power.narrow(0, at, count).copy_(at::logsumexp(all * 2, {1}));
    }
    context->mark_non_differentiable({entropy, log_power});
    context->set_materialize_grads(false);
    context->saved_data["temperature"] = settings.temperature;
    context->saved_data["softcap"] = settings.softcap;
    context->saved_data["chunk"] = settings.chunk_size;
    if (wanted) context->save_for_backward({hidden, weight, bias.value_or(Tensor()), targets});
    const auto shape = targets.sizes();
    return {log_probs.view(shape), entropy.view(shape), log_power.view(shape)};
  }

  static variable_list backward(AutogradContext* context, variable_list factors) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no second derivative of tunesmith::token_log_probs, got ",
                "create_graph. Compose it of plain operators instead.");
    variable_list results(6);
    if (!factors[0].defined()) return results;
    const variable_list saved = context->get_saved_variables();
    const double temperature = context->saved_data["temperature"].toDouble();
    const double softcap = context->saved_data["softcap"].toDouble();
    const int64_t chunk = context->saved_data["chunk"].toInt();
    const Tensor ids = saved[3].flatten(), factor = factors[0].to(at::kFloat).flatten();
    Gradients gradients(saved[0], saved[1], saved[2].defined() ? Bias(saved[2]) : Bias(), true);
    for (int64_t at = 0; at < ids.numel(); at += chunk) {
      const int64_t count = std::min(chunk, ids.numel() - at);
      gradients.add(at, count, factor.narrow(0, at, count), [&](const Tensor& part) {
        const Tensor all = distribution(part, gradients.weight, gradients.bias, temperature, softcap);
        return all.gather(1, ids.narrow(0, at, count).unsqueeze(1)).squeeze(1);
      });
    }
    const variable_list found = gradients.results(saved[0]);
    std::copy(found.begin(), found.end(), results.begin());
    return results;
  }

 private:
  static Tensor distribution(const Tensor& x, const Tensor& weight, const Bias& bias, double temperature,
                             double softcap) {
    return at::log_softmax(logits_of(x, weight, bias, softcap) * double(float(1 / temperature)), 1);
  }
};

}  // namespace

std::tuple<Tensor, Tensor> linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Bias& bias,
                                                const Tensor& targets, const CrossEntropy& settings) {
  const auto results =
      LinearCrossEntropy::apply(hidden, weight, bias, targets, settings, wants_gradient(hidden, weight, bias));
  return {results[0], results[1]};
}

std::tuple<Tensor, Tensor, Tensor> token_log_probs(const Tensor& hidden, const Tensor& weight, const Bias& bias,
                                                   const Tensor& targets, const LogProbs& settings) {
  const auto results =
      TokenLogProbs::apply(hidden, weight, bias, targets, settings, wants_gradient(hidden, weight, bias));
  return {results[0], results[1], results[2]};
}

std::tuple<Tensor, Tensor> choose_tokens(const Tensor& logits, const Tensor& temperatures, const Tensor& uniforms,
                                         bool logged) {
  const at::NoGradGuard no_grad;
  const at::ScalarType wide = has_float64(logits.device()) ? at::kDouble : at::kFloat;
  const Tensor heat = upload(temperatures.to(wide), logits.device()).unsqueeze(1),
               uniform = upload(uniforms.to(wide), logits.device());
  const Tensor greedy = heat.eq(0), divisor = at::where(greedy, at::ones_like(heat), heat);
  const Tensor heated = logits.to(wide).div(divisor).to(at::kFloat).to(wide);
  const Tensor weights = heated.sub(heated.amax(1, true)).exp(), sums = weights.cumsum(1);
  const Tensor wanted = sums.select(1, -1).mul(uniform).unsqueeze(1);
  const Tensor number = at::arange(logits.size(1), logits.options().dtype(at::kLong));
  // Rounding can leave the sum of all below the wanted one: the last token with a probability is chosen.
  const Tensor last = number.masked_fill(weights.eq(0), 0).amax(1);
  const Tensor sampled = at::minimum(sums.le(wanted).sum(1), last);
  const Tensor ids = at::where(greedy.squeeze(1), logits.argmax(1), sampled);
  if (!logged) return {ids, at::empty({0}, logits.options())};
  const Tensor all = at::log_softmax(logits.mul(divisor.reciprocal().to(at::kFloat)), 1);
  return {ids, all.gather(1, ids.unsqueeze(1)).squeeze(1)};
}

}  // namespace tunesmith::plain
