// tunesmith::encoder_layers: the layers of a BERT-like encoder in one call, with a norm after attention and after the
// feed-forward block. Short texts spend more time between operators than in them. The products, the attention, the
// activation and the norms are those of the separate operators, so the result has the same bits. Matrices may be blocks
// of a GGUF file. No gradient. The weights are checked once, by tunesmith::prepare_encoder_layers.
#include <ATen/core/List.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "attention.h"
#include "block-matrix.h"
#include "block-product.h"
#include "checks.h"
#include "gemm.h"
#include "linear.h"
#include "prepared-layers.h"
#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr const char* op = "encoder_layers";
// Elements that a thread takes at a time, at least.
constexpr int64_t gelu_grain = 16384, norm_grain = 32768;

// A layer's tensors in the order of the argument `parts`.
enum Part : size_t {
  q,
  q_bias,
  k,
  k_bias,
  v,
  v_bias,
  o,
  o_bias,
  attention_norm,
  attention_norm_bias,
  up,
  up_bias,
  down,
  down_bias,
  mlp_norm,
  mlp_norm_bias,
  part_count
};
using Parts = std::array<Tensor, part_count>;

// The products of a layer in the order of their formats.
constexpr std::array<Part, 6> products = {q, k, v, o, up, down};

// The tensors of a layer, and its matrices of blocks.
struct EncoderWeights {
  static constexpr const char* op = "prepare_encoder_layers";

  Parts parts;
  std::array<BlockMatrix, part_count> matrices;
  int64_t width = 0, inner = 0;
  at::ScalarType type = at::kFloat;  // of vectors, of dense matrices, and of the rows that they multiply

  const Tensor& operator[](size_t part) const { return parts[part]; }
  bool is_dense(Part part) const { return matrices[part].columns == 0; }
  int64_t outputs(Part part) const { return is_dense(part) ? parts[part].size(0) : matrices[part].rows; }

  template <class Visit> void each_tensor(const Visit& visit) {
    for (Tensor& part : parts) visit(part);
    for (BlockMatrix& matrix : matrices) {
      visit(matrix.blocks);
      visit(matrix.order);
    }
  }
  static std::vector<EncoderWeights> check(const LayerTensors& parts, const std::vector<c10::string_view>& formats,
                                           const LayerTensors& orders);
};

void check_matrix(const EncoderWeights& weights, Part part, int64_t outputs, int64_t inputs, const char* name) {
  if (!weights.is_dense(part)) {
    const BlockMatrix& matrix = weights.matrices[part];
    TORCH_CHECK(matrix.rows == outputs && matrix.columns == inputs, "Expected [", outputs, ",", inputs, "] for `", name,
                "` of tunesmith::encoder_layers, got blocks of [", matrix.rows, ",", matrix.columns, "].");
    return;
  }
  const Tensor& weight = weights[part];
  check_float(weight, op, name);
  TORCH_CHECK(weight.scalar_type() == weights.type && weight.dim() == 2 && weight.size(0) == outputs &&
                  weight.size(1) == inputs,
              "Expected ", weights.type, " [", outputs, ",", inputs, "] for `", name,
              "` of tunesmith::encoder_layers, got ", weight.scalar_type(), " ", weight.sizes(), ".");
}

void check_values(const EncoderWeights& parts, Part part, int64_t size, const char* name) {
  if (!parts[part].defined()) return;
  check_vector(parts[part], size, op, name);
  TORCH_CHECK(parts[part].scalar_type() == parts.type, "Expected ", parts.type, " as `", name,
              "` of tunesmith::encoder_layers, got ", parts[part].scalar_type(), ".");
}

void check_layer(EncoderWeights& parts) {
  for (const Part norm : {attention_norm, mlp_norm}) {
    TORCH_CHECK(parts[norm].defined(), "Expected weights of both norms of tunesmith::encoder_layers.");
    if (norm == attention_norm) {
      parts.width = parts[norm].numel();
      parts.type = parts[norm].scalar_type();
    }
    check_values(parts, norm, parts.width, norm == mlp_norm ? "mlpNorm" : "attentionNorm");
  }
  const int64_t width = parts.width;
  for (const Part product : products)
    TORCH_CHECK(parts.is_dense(product) || parts.type == at::kFloat,
                "Expected float32 beside matrices of blocks in tunesmith::encoder_layers, got ", parts.type, ".");
  if (parts.is_dense(up)) {
    check_float(parts[up], op, "upProj");
    TORCH_CHECK(parts[up].dim() == 2, "Expected a matrix as `upProj` of tunesmith::encoder_layers, got ",
                parts[up].sizes(), ".");
  }
  const int64_t inner = parts.inner = parts.outputs(up);
  check_matrix(parts, q, width, width, "qProj");
  check_matrix(parts, k, width, width, "kProj");
  check_matrix(parts, v, width, width, "vProj");
  check_matrix(parts, o, width, width, "oProj");
  check_matrix(parts, up, inner, width, "upProj");
  check_matrix(parts, down, width, inner, "downProj");
  check_values(parts, q_bias, width, "qProj.bias");
  check_values(parts, k_bias, width, "kProj.bias");
  check_values(parts, v_bias, width, "vProj.bias");
  check_values(parts, o_bias, width, "oProj.bias");
  check_values(parts, up_bias, inner, "upProj.bias");
  check_values(parts, down_bias, width, "downProj.bias");
  check_values(parts, attention_norm_bias, width, "attentionNorm.bias");
  check_values(parts, mlp_norm_bias, width, "mlpNorm.bias");
}

std::vector<EncoderWeights> EncoderWeights::check(const LayerTensors& given,
                                                  const std::vector<c10::string_view>& formats,
                                                  const LayerTensors& orders) {
  TORCH_CHECK(!given.empty() && given.size() % part_count == 0, "Expected ", int64_t(part_count),
              " `parts` of tunesmith::prepare_encoder_layers for each layer, got ", int64_t(given.size()), ".");
  std::vector<EncoderWeights> layers(given.size() / part_count);
  TORCH_CHECK(formats.empty() || (formats.size() == layers.size() * products.size() && orders.size() == formats.size()),
              "Expected ", int64_t(products.size()),
              " `formats` and `orders` of tunesmith::prepare_encoder_layers for each of ", int64_t(layers.size()),
              " layers, got ", int64_t(formats.size()), " and ", int64_t(orders.size()), ".");
  for (size_t layer = 0; layer < layers.size(); layer++) {
    EncoderWeights& weights = layers[layer];
    for (size_t i = 0; i < part_count; i++) {
      const Tensor& part = given[layer * part_count + i];
      if (part.defined()) weights.parts[i] = part.dim() == 1 ? part.contiguous() : part;
    }
    for (size_t i = 0; i < products.size() && !formats.empty(); i++) {
      const size_t at = layer * products.size() + i;
      if (!formats[at].empty())
        weights.matrices[products[i]] = block_matrix(weights.parts[products[i]], formats[at], orders[at], op);
    }
    check_layer(weights);
    TORCH_CHECK(weights.width == layers[0].width && weights.type == layers[0].type,
                "Expected layers of one width and type for tunesmith::encoder_layers, got ", layers[0].width, " ",
                layers[0].type, " and ", weights.width, " ", weights.type, ".");
  }
  return layers;
}

// The layer norm of input + added, `rows` of the layers' width; `added` becomes the sum.
void add_norm(const void* input, void* added, int64_t rows, const EncoderWeights& weights, Part part, double epsilon,
              void* output) {
  float* numbers = scratch(Scratch::decoder, 2 * rows);
  NormRows job{};
  job.width = weights.width;
  job.input = input;
  job.residual = added;
  job.sum = added;
  job.weight = address(weights[part]);
  job.bias = address_or_null(weights[part + 1]);
  job.output = output;
  job.input_type = job.residual_type = job.sum_type = job.weight_type = job.bias_type = job.output_type =
      type_of(weights[part]);
  job.mean = numbers;
  job.scale = numbers + rows;
  job.epsilon = float(epsilon);
  share_work(rows, std::max<int64_t>(1, norm_grain / job.width),
             [&](int64_t first, int64_t last) { kernels().norm_rows(job, first, last); });
}

void add_norm(const Tensor& input, const Tensor& added, const EncoderWeights& weights, Part part, double epsilon,
              const Tensor& output) {
  if (planning()) return;
  add_norm(address(input), mutable_address(added), input.size(0), weights, part, epsilon, mutable_address(output));
}

// Rows that several matrices of blocks multiply; they are quantised once for all of them. What is quantised lives until
// the next product of other rows.
class BlockInput {
 public:
  BlockInput(Matrix rows, int64_t count) : rows_(rows), count_(count) {}

  // out [count,N], rows `stride` apart.
  void multiply(float* out, int64_t stride, const EncoderWeights& weights, Part part) {
    const BlockMatrix& matrix = weights.matrices[part];
    const Tensor& bias = weights[part + 1];
    if (codes_ == nullptr || !share_input(code_, matrix.code))
      codes_ = quantized(rows_, count_, matrix.columns, code_ = matrix.code);
    BlockProduct p{};
    p.rows = count_;
    p.columns = matrix.rows;
    p.depth = matrix.columns;
    p.x = codes_;
    p.weight = matrix.view();
    p.bias = address_or_null(bias);
    p.bias_type = bias.defined() ? type_of(bias) : Type::float32;
    p.out = out;
    p.out_type = Type::float32;
    p.out_stride = stride;
    tunesmith::multiply(p);
  }

 private:
  Matrix rows_;
  int64_t count_;
  const void* codes_ = nullptr;
  Code code_ = Code::q8_0;  // a matrix that takes them
};

// Rows that several matrices multiply.
class Input {
 public:
  explicit Input(Tensor rows) : rows_(std::move(rows)), blocks_(matrix_of(rows_), rows_.size(0)) {}

  // out [M,N] = rows times the transpose of a matrix, plus its bias, as tunesmith::linear and block_linear have it.
  void multiply(const Tensor& out, const EncoderWeights& weights, Part part) {
    if (weights.is_dense(part)) return linear_product(out, rows_, weights[part], weights[part + 1]);
    const BlockMatrix& matrix = weights.matrices[part];
    if (planning()) return count_product(rows_.size(0), matrix.rows, matrix.columns);
    blocks_.multiply(static_cast<float*>(mutable_address(out)), out.stride(0), weights, part);
  }

 private:
  Tensor rows_;
  BlockInput blocks_;
};

void activate(void* values, int64_t count, Type type, bool tanh) {
  char* data = static_cast<char*>(values);
  const int64_t bytes = type == Type::bfloat16 ? 2 : 4;
  share_work(count, gelu_grain, [&](int64_t first, int64_t last) {
    char* part = data + first * bytes;
    kernels().activate(part, nullptr, type, part, last - first, tanh ? Curve::gelu_tanh : Curve::gelu);
  });
}

void activate(const Tensor& values, bool tanh) {
  if (!planning()) activate(mutable_address(values), values.numel(), type_of(values), tanh);
}

bool has_blocks_only(const EncoderWeights& weights) {
  return std::none_of(products.begin(), products.end(), [&](Part part) { return weights.is_dense(part); });
}

// Whether the rows of a layer are computed in pieces: all steps but attention for some rows, before the next ones. What
// the steps hand on then stays in the second cache. With few rows the threads share the columns of a product instead.
bool in_pieces(const EncoderWeights& weights, int64_t rows) {
  constexpr int64_t least_rows = 32;  // for each thread
  return has_blocks_only(weights) && rows >= least_rows * at::get_num_threads();
}

// Runs body(first, count) for all rows, a piece at a time. Each thread gets as many pieces as the others.
template <class Body> void for_pieces(int64_t rows, const Body& body) {
  constexpr int64_t most_rows = 128, unit = 16;
  const int64_t threads = at::get_num_threads(), rounds = (rows + threads * most_rows - 1) / (threads * most_rows);
  const int64_t piece = ((rows + rounds * threads - 1) / (rounds * threads) + unit - 1) / unit * unit;
  share_work((rows + piece - 1) / piece, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first * piece; row < std::min(rows, last * piece); row += piece)
      body(row, std::min(piece, rows - row));
  });
}

const float* row_of(const Tensor& t, int64_t row) { return static_cast<const float*>(address(t)) + row * t.stride(0); }
float* mutable_row_of(const Tensor& t, int64_t row) {
  return static_cast<float*>(mutable_address(t)) + row * t.stride(0);
}

// Queries, keys and values of the rows. All [rows,width].
void project_pieces(const EncoderWeights& weights, const Tensor& rows, const Tensor& query, const Tensor& keys,
                    const Tensor& values) {
  const int64_t width = weights.width;
  if (planning()) return count_product(rows.size(0), 3 * width, width);
  for_pieces(rows.size(0), [&](int64_t first, int64_t count) {
    BlockInput input({row_of(rows, first), Type::float32, width, 1}, count);
    input.multiply(mutable_row_of(query, first), width, weights, q);
    input.multiply(mutable_row_of(keys, first), width, weights, k);
    input.multiply(mutable_row_of(values, first), width, weights, v);
  });
}

// What follows attention: `mixed` is what it gave for the rows of `input`. All [rows,width].
void finish_pieces(const EncoderWeights& weights, const Tensor& input, const Tensor& mixed, const Tensor& output,
                   double epsilon, bool tanh) {
  const int64_t width = weights.width, inner = weights.inner, rows = input.size(0);
  if (planning()) return count_product(rows, width + 2 * inner, width);
  for_pieces(rows, [&](int64_t first, int64_t count) {
    float* change = scratch(Scratch::encoder, count * (2 * width + inner));
    float *attended = change + count * width, *inside = attended + count * width;
    const auto multiply = [&](const float* x, int64_t depth, float* out, int64_t columns, Part part) {
      BlockInput({x, Type::float32, depth, 1}, count).multiply(out, columns, weights, part);
    };
    multiply(row_of(mixed, first), width, change, width, o);
    add_norm(row_of(input, first), change, count, weights, attention_norm, epsilon, attended);
    multiply(attended, width, inside, inner, up);
    activate(inside, count * inner, Type::float32, tanh);
    multiply(inside, inner, change, width, down);
    add_norm(attended, change, count, weights, mlp_norm, epsilon, mutable_row_of(output, first));
  });
}

Tensor encoder_layers(const Tensor& hidden, const std::optional<Tensor>& mask, const std::optional<Tensor>& starts,
                      const std::optional<Tensor>& read_places, const std::optional<Tensor>& read_starts,
                      const Tensor& prepared, int64_t heads, double epsilon, double scale,
                      c10::string_view approximate) {
  check_float(hidden, op, "hidden");
  TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no gradients in tunesmith::encoder_layers. Call it under noGrad.");
  TORCH_CHECK(hidden.dim() == 3 && hidden.size(2) > 0,
              "Expected [B,T,C] as `hidden` of tunesmith::encoder_layers, got ", hidden.sizes(), ".");
  const int64_t batch = hidden.size(0), width = hidden.size(2), tokens = batch * hidden.size(1);
  TORCH_CHECK(heads >= 1 && width % heads == 0, "Expected a divisor of ", width,
              " as `heads` of tunesmith::encoder_layers, got ", heads, ".");
  TORCH_CHECK(approximate == "none" || approximate == "tanh",
              "Expected `none` or `tanh` as `approximate` of tunesmith::encoder_layers, got `", approximate, "`.");
  TORCH_CHECK(epsilon >= 0, "Expected a number of at least 0 as `eps` of tunesmith::encoder_layers, got ", epsilon,
              ".");
  const bool reads = given(read_places).has_value();
  TORCH_CHECK(reads == given(read_starts).has_value() && (!reads || given(starts)),
              "Expected `read_places` of tunesmith::encoder_layers with `read_starts` and `starts`.");
  if (reads)
    TORCH_CHECK(read_places->dim() == 1 && read_places->scalar_type() == at::kLong,
                "Expected int64 [M] as `read_places` of tunesmith::encoder_layers, got ", read_places->scalar_type(),
                " ", read_places->sizes(), ".");

  const std::vector<EncoderWeights> weights =
      held_object<PreparedLayers<EncoderWeights>>(prepared, op, "prepareEncoderLayers").use();
  TORCH_CHECK(weights[0].width == width, "Expected [B,T,", weights[0].width,
              "], as the layers have, for `hidden` of tunesmith::encoder_layers, got ", hidden.sizes(), ".");
  TORCH_CHECK(weights[0].type == hidden.scalar_type(), "Expected ", weights[0].type,
              ", as the layers have, for `hidden` of tunesmith::encoder_layers, got ", hidden.scalar_type(), ".");
  const auto layers = int64_t(weights.size());
  Tensor stream = hidden.contiguous().view({tokens, width});
  Tensor queries = at::empty({tokens, width}, hidden.options()), keys = at::empty_like(queries);
  Tensor values = at::empty_like(queries), next = at::empty_like(queries), changes, middle, wide;
  for (int64_t layer = 0; layer < layers; layer++) {
    const EncoderWeights& parts = weights[size_t(layer)];
    const int64_t inner = parts.inner;
    const bool some = reads && layer + 1 == layers;
    const Tensor input = some ? at::index_select(stream, 0, *read_places) : stream;
    const int64_t rows = input.size(0);
    const auto first_rows = [rows](const Tensor& all) { return all.narrow(0, 0, rows); };
    const auto by_head = [&](const Tensor& all) { return all.view({batch, -1, heads, width / heads}); };
    if (rows == 0) return at::empty({batch, 0, width}, hidden.options());
    const Tensor query = first_rows(queries);
    // The rows that a layer gives must not be those that the caller has.
    const Tensor output = layer + 1 == layers ? at::empty({rows, width}, hidden.options()) : next;
    const bool pieces = in_pieces(parts, rows);
    if (pieces && !some) {
      project_pieces(parts, stream, query, keys, values);
    } else {
      Input asked(input), all(stream);
      (some ? asked : all).multiply(query, parts, q);
      all.multiply(keys, parts, k);
      all.multiply(values, parts, v);
    }
    const Tensor mixed = attention(by_head(query), by_head(keys), by_head(values), mask, some ? read_starts : starts,
                                   starts, {}, {}, false, 0, scale, 0, {}, {});
    const bool tanh = approximate == "tanh";
    if (pieces) {
      finish_pieces(parts, input, mixed.view({rows, width}), output, epsilon, tanh);
    } else {
      if (!changes.defined()) changes = at::empty_like(queries), middle = at::empty_like(queries);
      if (!wide.defined() || wide.size(1) != inner) wide = at::empty({tokens, inner}, hidden.options());
      const Tensor change = first_rows(changes), attended = first_rows(middle), inside = first_rows(wide);
      Input(mixed.view({rows, width})).multiply(change, parts, o);
      add_norm(input, change, parts, attention_norm, epsilon, attended);
      Input(attended).multiply(inside, parts, up);
      activate(inside, tanh);
      Input(inside).multiply(change, parts, down);
      add_norm(attended, change, parts, mlp_norm, epsilon, output);
    }
    stream = output;
  }
  return stream.view({batch, -1, width});
}

Tensor prepare_encoder_layers(const c10::List<std::optional<Tensor>>& parts, c10::string_view formats,
                              const c10::List<std::optional<Tensor>>& orders) {
  return hold_object(
      std::make_unique<PreparedLayers<EncoderWeights>>(layer_tensors(parts), formats, layer_tensors(orders)));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // The layers for `encoder_layers`, without elements. `formats` and `orders` are those of matrices of blocks, which
  // are uint8 in `parts`; '' where all are dense.
  m.def("prepare_encoder_layers(Tensor?[] parts, str formats, Tensor?[] orders) -> Tensor", &prepare_encoder_layers);
  // With `read_places`, the last layer computes these tokens only.
  m.def(
      "encoder_layers(Tensor hidden, Tensor? mask, Tensor? starts, Tensor? read_places, Tensor? read_starts, "
      "Tensor layers, int heads, float eps, float scale, str approximate) -> Tensor",
      &encoder_layers);
}

}  // namespace tunesmith
