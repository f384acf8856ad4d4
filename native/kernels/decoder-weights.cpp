// Checks of what the layers of tunesmith::decoder_layers are made of: shapes that fit each other, one type.
#include "decoder-weights.h"

#include <optional>

#include "block-product.h"
#include "checks.h"

namespace tunesmith::decoder {

using at::Tensor;

Tensor contiguous_part(const Tensor& given) { return given.defined() ? given.contiguous() : Tensor(); }

void check_matrix(const Tensor& t, int64_t outputs, int64_t inputs, const char* name) {
  check_float(t, op, name);
  TORCH_CHECK(t.dim() == 2 && t.size(0) == outputs && t.size(1) == inputs, "Expected shape [", outputs, ",", inputs,
              "] for `", name, "` of tunesmith::decoder_layers, got ", t.sizes(), ".");
}

namespace {

void check_weight(const Weights& weights, Part part, int64_t outputs, int64_t inputs, const char* name) {
  if (weights.blocks(part) == nullptr) return check_matrix(weights[part], outputs, inputs, name);
  TORCH_CHECK(weights.outputs(part) == outputs && weights.inputs(part) == inputs, "Expected shape [", outputs, ",",
              inputs, "] for `", name, "` of tunesmith::decoder_layers, got blocks of [", weights.outputs(part), ",",
              weights.inputs(part), "].");
}
void check_bias(const Tensor& t, int64_t size, const char* name) {
  if (t.defined()) check_vector(t, size, op, name);
}

void check_layer(Weights& parts) {
  for (const Part norm : {attention_norm, mlp_norm}) {
    check_float(parts[norm], op, norm == mlp_norm ? "mlpNorm" : "attentionNorm");
    if (norm == attention_norm) parts.width = parts[norm].numel();
    check_vector(parts[norm], parts.width, op, norm == mlp_norm ? "mlpNorm" : "attentionNorm");
  }
  const int64_t width = parts.width;
  for (const Part part : {q, k, gate}) {
    const char* name = part == q ? "qProj" : part == k ? "kProj" : "gateProj";
    if (parts.blocks(part) != nullptr) continue;
    check_float(parts[part], op, name);
    TORCH_CHECK(parts[part].dim() == 2, "Expected a matrix as `", name, "` of tunesmith::decoder_layers, got ",
                parts[part].sizes(), ".");
  }
  const int64_t queries = parts.query_width = parts.outputs(q), keys = parts.key_width = parts.outputs(k);
  const int64_t inner = parts.inner = parts.outputs(gate);
  check_weight(parts, q, queries, width, "qProj");
  check_weight(parts, k, keys, width, "kProj");
  check_weight(parts, v, keys, width, "vProj");
  check_weight(parts, o, width, queries, "oProj");
  check_weight(parts, gate, inner, width, "gateProj");
  check_weight(parts, up, inner, width, "upProj");
  check_weight(parts, down, width, inner, "downProj");
  check_bias(parts[q_bias], queries, "qProj.bias");
  check_bias(parts[k_bias], keys, "kProj.bias");
  check_bias(parts[v_bias], keys, "vProj.bias");
  check_bias(parts[o_bias], width, "oProj.bias");
  check_bias(parts[gate_bias], inner, "gateProj.bias");
  check_bias(parts[up_bias], inner, "upProj.bias");
  check_bias(parts[down_bias], width, "downProj.bias");
  for (const Part norm : {query_norm, key_norm}) {
    if (!parts[norm].defined()) continue;
    if (parts.normed_head == 0) parts.normed_head = parts[norm].numel();
    check_vector(parts[norm], parts.normed_head, op, norm == query_norm ? "queryNorm" : "keyNorm");
  }
  std::optional<Type> dense_type;
  for (const Part part : adapted) {
    if (parts.blocks(part) != nullptr) continue;
    TORCH_CHECK(type_of(parts[part]) == dense_type.value_or(type_of(parts[part])),
                "Expected one type for all dense matrices of tunesmith::decoder_layers.");
    dense_type = type_of(parts[part]);
  }
  parts.dense = dense_type.has_value();
}

}  // namespace

std::vector<Weights> Weights::check(const LayerTensors& parts, const std::vector<c10::string_view>& formats,
                                    const LayerTensors& orders) {
  TORCH_CHECK(!parts.empty() && parts.size() % part_count == 0, "Expected ", int64_t(part_count),
              " `parts` for each layer of tunesmith::prepare_decoder_layers, got ", int64_t(parts.size()), ".");
  std::vector<Weights> layers(parts.size() / part_count);
  TORCH_CHECK(formats.empty() || (formats.size() == layers.size() * adapted.size() && orders.size() == formats.size()),
              "Expected ", int64_t(adapted.size()), " `formats` and `orders` for each of ", int64_t(layers.size()),
              " layers of tunesmith::prepare_decoder_layers, got ", int64_t(formats.size()), " and ",
              int64_t(orders.size()), ".");
  for (size_t layer = 0; layer < layers.size(); layer++) {
    Weights& weights = layers[layer];
    for (size_t i = 0; i < part_count; i++) weights.parts[i] = contiguous_part(parts[layer * part_count + i]);
    for (size_t i = 0; i < adapted.size() && !formats.empty(); i++) {
      const size_t at = layer * adapted.size() + i;
      if (!formats[at].empty())
        weights.matrices[i] = block_matrix(weights.parts[adapted[i]], formats[at], orders[at], op);
      // Products of a layer that have the same input share its codes.
      for (size_t j = 0; j < i && !formats[at].empty(); j++)
        TORCH_CHECK(weights.matrices[j].columns == 0 || share_input(weights.matrices[i].code, weights.matrices[j].code),
                    "Expected int8 or blocks for the matrices of a layer of tunesmith::", op, ", got both.");
    }
    check_layer(weights);
  }
  return layers;
}

}  // namespace tunesmith::decoder
