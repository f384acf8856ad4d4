// Matrices in the block formats of GGUF files, as they lie in the mapped file: uint8 [rows, bytes of a row], or of int8
// with a scale for each row. They are multiplied, dequantised, and looked up by row. `order` names the stored row of
// each row of the matrix.
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "block-matrix.h"
#include "block-product.h"
#include "checks.h"
#include "packed-weights.h"
#include "unpacked-product.h"

namespace tunesmith {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct BlockFormat {
  const char* name;
  Code code;
  int64_t values, bytes;
  int64_t beside = 0;  // bytes of a row beside its blocks
};
constexpr BlockFormat formats[] = {
    {"Q4_0", Code::q4_0, 32, 18},   {"Q4_1", Code::q4_1, 32, 20},   {"Q5_0", Code::q5_0, 32, 22},
    {"Q5_1", Code::q5_1, 32, 24},   {"Q8_0", Code::q8_0, 32, 34},   {"Q4_K", Code::q4_k, 256, 144},
    {"Q5_K", Code::q5_k, 256, 176}, {"Q6_K", Code::q6_k, 256, 210}, {"int8", Code::int8_rows, 32, 32, 4}};
// So many products of codes, unsigned on one side, add up to no more than an int32.
constexpr int64_t most_columns = 65536;

const BlockFormat& format_of(c10::string_view name, const char* op) {
  std::string all;
  for (const BlockFormat& format : formats) {
    if (name == format.name) return format;
    all += (all.empty() ? "" : ", ") + std::string(format.name);
  }
  TORCH_CHECK(false, "Expected one of ", all, " as `format` of tunesmith::", op, ", got ",
              std::string(name.substr(0, 40)), ".");
}

}  // namespace

BlockMatrix block_matrix(const Tensor& blocks, c10::string_view name, const std::optional<Tensor>& order,
                         const char* op) {
  const BlockFormat& format = format_of(name, op);
  TORCH_CHECK(blocks.defined() && blocks.device().is_cpu() && blocks.scalar_type() == at::kByte && blocks.dim() == 2,
              "Expected uint8 [rows,bytes] on the CPU as `blocks` of tunesmith::", op, ", got ", blocks.scalar_type(),
              " ", blocks.sizes(), ".");
  const int64_t bytes = blocks.size(1) - format.beside;
  TORCH_CHECK(bytes > 0 && bytes % format.bytes == 0, "Expected rows of whole blocks of ", format.bytes, " bytes (",
              format.name, ") as `blocks` of tunesmith::", op, ", got ", blocks.sizes(), ".");
  BlockMatrix matrix;
  matrix.blocks = blocks.stride(1) == 1 && (blocks.stride(0) >= blocks.size(1) || blocks.size(0) <= 1)
                      ? blocks
                      : blocks.contiguous();
  matrix.rows = blocks.size(0);
  matrix.columns = bytes / format.bytes * format.values;
  TORCH_CHECK(format.code != Code::int8_rows || matrix.columns <= most_columns, "Expected at most ", most_columns,
              " columns of ", format.name, " as `blocks` of tunesmith::", op, ", got ", matrix.columns, ".");
  if (given(order)) {
    TORCH_CHECK(order->device().is_cpu() && order->scalar_type() == at::kLong && order->dim() == 1,
                "Expected int64 [rows] as `order` of tunesmith::", op, ", got ", order->scalar_type(), " ",
                order->sizes(), ".");
    matrix.order = order->contiguous();
    const int64_t* rows = matrix.order.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < matrix.order.size(0) && !planning(); i++)
      TORCH_CHECK(rows[i] >= 0 && rows[i] < matrix.rows, "Expected rows from 0 to ", matrix.rows - 1,
                  " in `order` of tunesmith::", op, ", got ", rows[i], " at position ", i, ".");
    matrix.rows = matrix.order.size(0);
  }
  matrix.code = format.code;
  matrix.interleaved = kept_blocks(matrix);
  return matrix;
}

std::vector<c10::string_view> block_formats(c10::string_view text) {
  std::vector<c10::string_view> names;
  for (size_t from = 0; !text.empty() && from <= text.size();) {
    const size_t end = std::min(text.size(), text.find(',', from));
    names.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return names;
}

PackedMatrix BlockMatrix::view() const {
  return {code,       blocks.const_data_ptr(), nullptr,
          columns,    blocks.stride(0),        order.defined() ? order.const_data_ptr<int64_t>() : nullptr,
          interleaved};
}

namespace {

Tensor unpack_blocks(const Tensor& blocks, c10::string_view format, const std::optional<Tensor>& order) {
  const BlockMatrix matrix = block_matrix(blocks, format, order, "unpack_blocks");
  Tensor out = at::empty({matrix.rows, matrix.columns}, blocks.options().dtype(at::kFloat));
  float* to = out.mutable_data_ptr<float>();
  const PackedMatrix view = matrix.view();
  over_values(0, matrix.rows, std::max<int64_t>(1, 16384 / matrix.columns), [&](int64_t first, int64_t last) {
    kernels().unpack(view, first, last - first, 0, matrix.columns, to + first * matrix.columns, matrix.columns);
  });
  return out;
}

bool finite_blocks(const Tensor& blocks, c10::string_view format) {
  const BlockMatrix matrix = block_matrix(blocks, format, {}, "finite_blocks");
  const PackedMatrix view = matrix.view();
  std::atomic<bool> finite{true};
  over_values(0, matrix.rows, std::max<int64_t>(1, 65536 / matrix.columns), [&](int64_t first, int64_t last) {
    if (!kernels().finite_scales(view, first, last)) finite = false;
  });
  give_back_copied(matrix);
  return finite;
}

Tensor rows_of(const Tensor& t, int64_t width) {
  Tensor x = t.reshape({-1, width});
  return x.numel() > 0 && x.stride(1) != 1 && x.stride(0) != 1 ? x.contiguous() : x;
}

// The matrix gets no gradient, only input and bias do, and no input is saved. The gradient is that of the matrix as it
// is stored: quantising the input counts as no change.
struct BlockLinear : torch::autograd::Function<BlockLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& blocks, const std::string& format,
                        const std::optional<Tensor>& order, const std::optional<Tensor>& bias) {
    const BlockMatrix matrix = block_matrix(blocks, format, order, "block_linear");
    const Tensor x = rows_of(input, matrix.columns);
    at::DimVector shape(input.sizes().begin(), input.sizes().end());
    shape.back() = matrix.rows;
    Tensor y = at::empty({x.size(0), matrix.rows}, input.options());
    if (planning()) {
      count_product(x.size(0), matrix.rows, matrix.columns);
    } else if (y.numel() > 0) {
      BlockProduct p{};
      p.rows = x.size(0);
      p.columns = matrix.rows;
      p.depth = matrix.columns;
      p.weight = matrix.view();
      p.x = quantized(matrix_of(x), p.rows, p.depth, p.weight.code);
      p.bias = bias.has_value() ? address(*bias) : nullptr;
      p.bias_type = bias.has_value() ? type_of(*bias) : Type::float32;
      p.out = mutable_address(y);
      p.out_type = type_of(y);
      p.out_stride = y.stride(0);
      multiply(p);
    }
    context->save_for_backward({blocks, order.value_or(Tensor())});
    context->saved_data["format"] = format;
    context->saved_data["shape"] = input.sizes().vec();
    context->saved_data["bias"] = bias.has_value();
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("block_linear");
    const variable_list saved = context->get_saved_variables();
    const auto format = context->saved_data["format"].toStringRef();
    const auto shape = context->saved_data["shape"].toIntVector();
    const BlockMatrix matrix = block_matrix(saved[0], format, saved[1], "block_linear");
    const Tensor dy = rows_of(gradients[0], matrix.rows);
    Tensor dx, db;
    if (context->needs_input_grad(0)) {
      dx = at::empty({dy.size(0), matrix.columns}, dy.options());
      unpacked_product_out(dx, dy, matrix.view(), false);
      dx = dx.view(shape);
    }
    // Inputs are counted by their tensors: input, blocks, order where there is one, bias.
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(saved[1].defined() ? 3 : 2)) db = dy.sum(0);
    return {dx, {}, {}, {}, db};
  }
};

Tensor block_linear(const Tensor& input, const Tensor& blocks, c10::string_view format,
                    const std::optional<Tensor>& order, const std::optional<Tensor>& bias) {
  check_float(input, "block_linear", "input");
  const BlockMatrix matrix = block_matrix(blocks, format, order, "block_linear");
  TORCH_CHECK(input.dim() >= 1 && input.size(-1) == matrix.columns, "Expected shape [...,", matrix.columns,
              "] for `input` of tunesmith::block_linear, got ", input.sizes(), ".");
  std::optional<Tensor> added = given(bias);
  if (added) {
    check_vector(*added, matrix.rows, "block_linear", "bias");
    added = added->contiguous();
  }
  return BlockLinear::apply(input, blocks, std::string(format), given(order), added);
}

// Rows by id, dequantised.
Tensor block_embedding(const Tensor& blocks, c10::string_view format, const Tensor& ids) {
  TORCH_CHECK(ids.device().is_cpu() && (ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt),
              "Expected int64 ids as `ids` of tunesmith::block_embedding, got ", ids.scalar_type(), ".");
  at::DimVector shape(ids.sizes().begin(), ids.sizes().end());
  Tensor rows = unpack_blocks(blocks, format, ids.to(at::kLong).reshape({-1}));
  shape.push_back(rows.size(1));
  return rows.view(shape);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("unpack_blocks(Tensor blocks, str format, Tensor? order) -> Tensor", &unpack_blocks);
  m.def("finite_blocks(Tensor blocks, str format) -> bool", &finite_blocks);
  m.def("block_embedding(Tensor blocks, str format, Tensor ids) -> Tensor", &block_embedding);
  m.def("block_linear(Tensor input, Tensor blocks, str format, Tensor? order, Tensor? bias) -> Tensor", &block_linear);
}

}  // namespace tunesmith
