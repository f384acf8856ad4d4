// Quantised matrices: quantised, dequantised, and multiplied without an fp32 copy. Codes and scales are ordinary
// tensors: int8 [N,K] with fp32 [N], or two NF4 codes per byte with a scale for every 64 elements, which may be
// quantised to 8 bits. Bit-identical to bitsandbytes 0.50. Matrices are quantised on the CPU; those on another device
// are dequantised for each product.
// @source int8 by rows: arXiv:2208.07339; NF4 and quantised scales: arXiv:2305.14314
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "checks.h"
#include "linear.h"
#include "low-rank.h"
#include "plain/plain.h"
#include "unpacked-product.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t scale_block = 256;
constexpr float smallest = 1e-38f;  // divisor of a block of zeros

Tensor float_matrix(const Tensor& weight, const char* op) {
  check_float(weight, op, "weight");
  TORCH_CHECK(weight.dim() == 2 && weight.numel() > 0, "Expected a matrix as `weight` of tunesmith::", op, ", got ",
              weight.sizes(), ".");
  return weight.detach().contiguous();
}

// Rows or blocks converted to fp32.
void widen(const Tensor& from, int64_t at, int64_t count, float* out) {
  kernels().convert(static_cast<const char*>(address(from)) + at * from.element_size(), type_of(from), out,
                    Type::float32, count);
}

float largest_magnitude(const float* values, int64_t count) {
  float most = 0;
  for (int64_t i = 0; i < count; i++) {
    // A NaN must not be lost in a comparison.
    const float size = std::fabs(values[i]);
    if (!(size <= most)) most = size;
  }
  return most;
}

void check_finite(float most, const char* op) {
  TORCH_CHECK(std::isfinite(most), "Expected finite values in `weight` of tunesmith::", op, ", got ", most, ".");
}

std::tuple<Tensor, Tensor> pack_int8(const Tensor& given) {
  const Tensor weight = float_matrix(given, "pack_int8");
  const int64_t rows = weight.size(0), columns = weight.size(1);
  Tensor codes = at::empty(weight.sizes(), weight.options().dtype(at::kChar));
  Tensor scales = at::empty({rows}, weight.options().dtype(at::kFloat));
  int8_t* to = codes.mutable_data_ptr<int8_t>();
  float* scale = scales.mutable_data_ptr<float>();
  over_values(0, rows, std::max<int64_t>(1, 16384 / columns), [&](int64_t first, int64_t last) {
    std::vector<float> wide(static_cast<size_t>(columns));
    for (int64_t r = first; r < last; r++) {
      widen(weight, r * columns, columns, wide.data());
      const float most = largest_magnitude(wide.data(), columns);
      check_finite(most, "pack_int8");
      const float factor = most > 0 ? 127.0f / most : 0.0f;
      for (int64_t i = 0; i < columns; i++)
        to[r * columns + i] = int8_t(std::min(127.0f, std::max(-127.0f, std::nearbyint(wide[size_t(i)] * factor))));
      scale[r] = most / 127.0f;
    }
  });
  return {codes, scales};
}

// The codes of each row and then its scale, as bytes: `Code::int8_rows`.
Tensor pack_int8_rows(const Tensor& weight) {
  const auto [codes, scales] = pack_int8(weight);
  return at::cat({codes.view(at::kByte), scales.view({-1, 1}).view(at::kByte)}, 1);
}

const std::array<float, 16>& nf4_values() {
  static const std::array<float, 16> made = [] {
    uint8_t codes[8];
    for (int i = 0; i < 8; i++) codes[i] = uint8_t((2 * i) << 4 | (2 * i + 1));
    const float one = 1;
    std::array<float, 16> values{};
    kernels().unpack({Code::nf4, codes, &one, 16}, 0, 1, 0, 16, values.data(), 16);
    return values;
  }();
  return made;
}

// The midpoints between neighbouring NF4 values.
std::array<float, 15> nf4_borders() {
  const std::array<float, 16>& values = nf4_values();
  std::array<float, 15> borders;
  for (size_t i = 0; i < 15; i++) borders[i] = (values[i] + values[i + 1]) / 2;
  return borders;
}

std::tuple<Tensor, Tensor> pack_nf4(const Tensor& given) {
  const Tensor weight = float_matrix(given, "pack_nf4");
  const int64_t count = weight.numel(), blocks = (count + nf4_block - 1) / nf4_block;
  Tensor codes = at::empty({(count + 1) / 2}, weight.options().dtype(at::kByte));
  Tensor scales = at::empty({blocks}, weight.options().dtype(at::kFloat));
  uint8_t* to = codes.mutable_data_ptr<uint8_t>();
  float* scale = scales.mutable_data_ptr<float>();
  static const std::array<float, 15> borders = nf4_borders();
  over_values(0, blocks, 256, [&](int64_t first, int64_t last) {
    float wide[nf4_block];
    uint8_t code[nf4_block];
    for (int64_t block = first; block < last; block++) {
      const int64_t at = block * nf4_block, size = std::min(nf4_block, count - at);
      widen(weight, at, size, wide);
      float most = largest_magnitude(wide, size);
      check_finite(most, "pack_nf4");
      const bool whole = size == nf4_block;
      const float factor = 1.0f / std::max(most, smallest);
      // bitsandbytes divides in a partial last block, and keeps its scale above zero.
      if (!whole) most = std::max(most, smallest);
      for (int64_t i = 0; i < size; i++) {
        const float value = std::min(1.0f, std::max(-1.0f, whole ? wide[i] * factor : wide[i] / most));
        int below = 0;
        for (const float border : borders) below += border < value;
        code[i] = uint8_t(below);
      }
      if (size % 2 == 1) code[size] = 7;
      for (int64_t i = 0; i < size; i += 2) to[(at + i) / 2] = uint8_t(code[i] << 4 | code[i + 1]);
      scale[block] = most;
    }
  });
  return {codes, scales};
}

// 256 values, close together near zero. @source arXiv:2110.02861, section 2.2, as bitsandbytes makes them
const std::array<float, 256>& dynamic_values() {
  static const std::array<float, 256> made = [] {
    const ComputeValues in_plans_too;
    std::vector<float> values = {0.0f, 1.0f};
    for (int i = 0; i < 7; i++) {
      const Tensor borders = at::linspace(0.1, 1, (int64_t(1) << i) + 1, at::TensorOptions(at::kFloat));
      const float* border = borders.const_data_ptr<float>();
      const float power = float(std::pow(10.0, i - 6));
      for (int64_t j = 0; j + 1 < borders.numel(); j++) {
        const float middle = (border[j] + border[j + 1]) / 2.0f;
        values.push_back(power * middle);
        values.push_back(-power * middle);
      }
    }
    std::sort(values.begin(), values.end());
    std::array<float, 256> all{};
    std::copy_n(values.begin(), all.size(), all.begin());
    return all;
  }();
  return made;
}

// The code nearest to a value from -1 to 1, which bitsandbytes first rounds to one of 65536 even steps.
uint8_t dynamic_code(float value) {
  constexpr float steps = 65535.0f;
  const std::array<float, 256>& values = dynamic_values();
  const int step = int((value + 1.0f) * 0.5f * steps + 0.5f);
  const float rounded = float(step) / steps * 2.0f - 1.0f;
  const int64_t above = std::upper_bound(values.begin(), values.end(), rounded) - values.begin();
  const int64_t right = std::min<int64_t>(255, above), left = std::max<int64_t>(0, above - 1);
  return uint8_t(std::fabs(rounded - values[size_t(right)]) < std::fabs(rounded - values[size_t(left)]) ? right : left);
}

// Scales in 8 bits: codes of what they are above their mean, a scale for every 256 of them, and the mean.
std::tuple<Tensor, Tensor, Tensor> pack_scales(const Tensor& scales) {
  check_float(scales, "pack_scales", "scales");
  TORCH_CHECK(scales.dim() == 1 && scales.numel() > 0 && !is_half(scales),
              "Expected float32 [blocks] as `scales` of tunesmith::pack_scales, got ", scales.sizes(), ".");
  const Tensor offset = scales.mean();
  const Tensor centred = scales.sub(offset).contiguous();
  const int64_t count = centred.numel(), blocks = (count + scale_block - 1) / scale_block;
  Tensor codes = at::empty({count}, scales.options().dtype(at::kByte));
  Tensor outer = at::empty({blocks}, scales.options());
  const float* from = centred.const_data_ptr<float>();
  uint8_t* to = codes.mutable_data_ptr<uint8_t>();
  for (int64_t block = 0; block < blocks && !planning(); block++) {
    const int64_t at = block * scale_block, size = std::min(scale_block, count - at);
    const float most = largest_magnitude(from + at, size);
    outer.mutable_data_ptr<float>()[block] = most;
    const float factor = most > 0 ? 1.0f / most : 0.0f;
    for (int64_t i = at; i < at + size; i++) to[i] = most > 0 ? dynamic_code(from[i] * factor) : uint8_t(0);
  }
  return {codes, outer, offset};
}

// The values of codes on a device, copied there once.
template <size_t count> Tensor values_on(const c10::Device& device, const std::array<float, count>& values) {
  static std::mutex mutex;
  // Never destroyed: a device may be gone when static objects are.
  static auto& copies = *new std::map<std::pair<c10::DeviceType, c10::DeviceIndex>, Tensor>;
  const std::lock_guard lock(mutex);
  Tensor& copy = copies[{device.type(), device.index()}];
  if (!copy.defined())
    copy = at::from_blob(const_cast<float*>(values.data()), {int64_t(count)}, at::TensorOptions(at::kFloat)).to(device);
  return copy;
}

// The checked parts of a quantised matrix, with its scales in fp32.
struct Frozen {
  Tensor codes, scales;
  int64_t rows, columns;

  // A copy, where there is no kernel that multiplies codes.
  Tensor dequantized(at::ScalarType type = at::kFloat) const {
    if (codes.scalar_type() == at::kChar) return plain::unpack_int8(codes.view({rows, columns}), scales).to(type);
    const Tensor values = values_on(codes.device(), nf4_values());
    return plain::unpack_nf4(codes.view(-1), scales, values, nf4_block, rows * columns).view({rows, columns}).to(type);
  }

  PackedMatrix view() const {
    return {codes.scalar_type() == at::kChar ? Code::int8 : Code::nf4, codes.const_data_ptr(),
            scales.const_data_ptr<float>(), columns};
  }
};

Tensor wide_scales(const c10::List<Tensor>& given, int64_t count, const char* op) {
  TORCH_CHECK(given.size() == 1 || given.size() == 3, "Expected one or three `scales` of tunesmith::", op, ", got ",
              int64_t(given.size()), ".");
  const Tensor first = given.get(0);
  if (given.size() == 1) {
    check_vector_values(first, count, op, "scales");
    TORCH_CHECK(!is_half(first), "Expected float32 `scales` of tunesmith::", op, ".");
    return first.contiguous();
  }
  const Tensor outer = given.get(1).contiguous(), offset = given.get(2);
  TORCH_CHECK(first.scalar_type() == at::kByte && first.dim() == 1 && first.size(0) == count, "Expected uint8 [", count,
              "] as codes of the `scales` of tunesmith::", op, ", got ", first.sizes(), ".");
  check_vector_values(outer, (count + scale_block - 1) / scale_block, op, "scales");
  check_values(offset, op, "scales");
  TORCH_CHECK(!is_half(outer) && !is_half(offset) && offset.numel() == 1,
              "Expected float32 `scales` of tunesmith::", op, ".");
  const Tensor codes = first.contiguous();
  if (!codes.is_cpu())
    return plain::unpack_scales(codes, outer, offset, values_on(codes.device(), dynamic_values()), scale_block);
  Tensor wide = at::empty({count}, outer.options());
  const std::array<float, 256>& values = dynamic_values();
  const uint8_t* code = codes.const_data_ptr<uint8_t>();
  const float *factor = outer.const_data_ptr<float>(), mean = *offset.const_data_ptr<float>();
  float* to = wide.mutable_data_ptr<float>();
  if (planning()) return wide;
  // Products are rounded before the sum, as two steps are: in one loop a compiler may fuse them.
  for (int64_t at = 0; at < count; at += scale_block) {
    const int64_t end = std::min(count, at + scale_block);
    for (int64_t i = at; i < end; i++) to[i] = values[code[i]] * factor[at / scale_block];
  }
  for (int64_t i = 0; i < count; i++) to[i] += mean;
  return wide;
}

Frozen frozen(const Tensor& codes, const c10::List<Tensor>& scales, int64_t rows, int64_t columns, const char* op) {
  TORCH_CHECK(rows > 0 && columns > 0 && rows <= (int64_t(1) << 40) / columns,
              "Expected a size of the matrix of tunesmith::", op, ", got [", rows, ",", columns, "].");
  const int64_t count = rows * columns;
  TORCH_CHECK(codes.scalar_type() == at::kChar || codes.scalar_type() == at::kByte,
              "Expected int8 or uint8 `codes` of tunesmith::", op, ", got ", codes.scalar_type(), ".");
  for (size_t i = 0; i < scales.size(); i++) Placement::on_cpu(op, codes, scales.get(i));
  const bool by_rows = codes.scalar_type() == at::kChar;
  TORCH_CHECK(codes.numel() == (by_rows ? count : (count + 1) / 2), "Expected `codes` of a matrix [", rows, ",",
              columns, "] for tunesmith::", op, ", got ", codes.sizes(), ".");
  Tensor wide = wide_scales(scales, by_rows ? rows : (count + nf4_block - 1) / nf4_block, op);
  return {codes.contiguous(), wide, rows, columns};
}

Tensor unpack_matrix(const Tensor& codes, const c10::List<Tensor>& scales, int64_t rows, int64_t columns) {
  const Frozen matrix = frozen(codes, scales, rows, columns, "unpack_matrix");
  if (!codes.is_cpu()) return matrix.dequantized();
  Tensor out = at::empty({rows, columns}, matrix.scales.options());
  float* to = out.mutable_data_ptr<float>();
  const PackedMatrix view = matrix.view();
  over_values(0, rows, std::max<int64_t>(1, 16384 / columns), [&](int64_t first, int64_t last) {
    kernels().unpack(view, first, last - first, 0, columns, to + first * columns, columns);
  });
  return out;
}

// x [M,K] times the transpose of a matrix [N,K], or x [M,N] times the matrix.
Tensor product(const Frozen& matrix, const Tensor& x, bool transposed, const std::optional<Tensor>& bias = {}) {
  if (!x.is_cpu()) {
    const Tensor wide = matrix.dequantized(x.scalar_type());
    return plain::linear(x, transposed ? wide : wide.t(), bias);
  }
  Tensor out = at::empty({x.size(0), transposed ? matrix.rows : matrix.columns}, x.options());
  unpacked_product_out(out, x, matrix.view(), transposed, bias.value_or(Tensor()));
  return out;
}

// What a product saves for its backward pass: tensors of its own, and then those of the matrix.
void save(AutogradContext* context, variable_list own, const Tensor& input, const Tensor& codes,
          const c10::List<Tensor>& scales, int64_t rows, const std::optional<Tensor>& bias) {
  context->saved_data["own"] = int64_t(own.size());
  own.push_back(codes);
  for (size_t i = 0; i < scales.size(); i++) own.push_back(scales.get(i));
  context->save_for_backward(std::move(own));
  context->saved_data["shape"] = input.sizes().vec();
  context->saved_data["rows"] = rows;
  context->saved_data["bias"] = bias.has_value();
}

Frozen saved_matrix(AutogradContext* context, const variable_list& saved, const char* op) {
  const auto first = static_cast<size_t>(context->saved_data["own"].toInt());
  c10::List<Tensor> scales;
  for (size_t i = first + 1; i < saved.size(); i++) scales.push_back(saved[i]);
  const int64_t columns = context->saved_data["shape"].toIntVector().back();
  return frozen(saved[first], scales, context->saved_data["rows"].toInt(), columns, op);
}

// The matrix gets no gradient, only input and bias do, and no input is saved.
struct PackedLinear : torch::autograd::Function<PackedLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& codes,
                        const c10::List<Tensor>& scales, int64_t rows, const std::optional<Tensor>& bias) {
    const Frozen matrix = frozen(codes, scales, rows, input.size(-1), "packed_linear");
    const Tensor x = unit_rows(input, matrix.columns);
    at::DimVector shape(input.sizes().begin(), input.sizes().end());
    shape.back() = rows;
    const Tensor y = product(matrix, x, true, bias);
    save(context, {}, input, codes, scales, rows, bias);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("packed_linear");
    const Tensor dy = unit_rows(gradients[0], context->saved_data["rows"].toInt());
    Tensor dx, db;
    if (context->needs_input_grad(0)) {
      const Frozen matrix = saved_matrix(context, context->get_saved_variables(), "packed_linear");
      dx = product(matrix, dy, false).view(context->saved_data["shape"].toIntVector());
    }
    // Inputs are counted without lists and numbers.
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) db = dy.sum(0);
    return {dx, {}, {}, {}, db};
  }
};

Tensor packed_linear(const Tensor& input, const Tensor& codes, const c10::List<Tensor>& scales, int64_t rows,
                     const std::optional<Tensor>& bias) {
  Placement::on_cpu("packed_linear", input, codes, bias);
  check_values(input, "packed_linear", "input");
  TORCH_CHECK(input.dim() >= 1, "Expected shape [...,K] for `input` of tunesmith::packed_linear, got a scalar.");
  if (!bias.has_value() || !bias->defined())
    return PackedLinear::apply(input, codes, scales, rows, std::optional<Tensor>());
  check_vector_values(*bias, rows, "packed_linear", "bias");
  return PackedLinear::apply(input, codes, scales, rows, std::optional<Tensor>(bias->contiguous()));
}

// The same with a low-rank change that is trained (low-rank.h).
struct PackedLowRankLinear : torch::autograd::Function<PackedLowRankLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& codes,
                        const c10::List<Tensor>& scales, int64_t rows, const Tensor& a, const Tensor& b, double scale,
                        const std::optional<Tensor>& bias) {
    const Frozen matrix = frozen(codes, scales, rows, input.size(-1), "packed_low_rank_linear");
    const Tensor x = unit_rows(input, matrix.columns);
    at::DimVector shape(input.sizes().begin(), input.sizes().end());
    shape.back() = rows;
    const Tensor y = product(matrix, x, true, bias);
    const Tensor narrow = add_low_rank(y, x, a, b, scale);
    save(context, {a.requires_grad() ? input : Tensor(), a, b, b.requires_grad() ? narrow : Tensor()}, input, codes,
         scales, rows, bias);
    context->saved_data["scale"] = scale;
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("packed_low_rank_linear");
    const auto shape = context->saved_data["shape"].toIntVector();
    const variable_list saved = context->get_saved_variables();
    const Tensor &input = saved[0], &a = saved[1], &b = saved[2], &narrow = saved[3];
    const Tensor dy = unit_rows(gradients[0], context->saved_data["rows"].toInt());
    Tensor dx, da, db, dbias;
    // Inputs are counted without lists and numbers.
    if (context->needs_input_grad(0) || context->needs_input_grad(2)) {
      const Tensor narrow_gradient = low_rank_narrow_gradient(dy, b, context->saved_data["scale"].toDouble());
      if (context->needs_input_grad(0)) {
        dx = product(saved_matrix(context, saved, "packed_low_rank_linear"), dy, false);
        add_low_rank_input_gradient(dx, narrow_gradient, a);
        dx = dx.view(shape);
      }
      if (context->needs_input_grad(2)) da = low_rank_a_gradient(narrow_gradient, unit_rows(input, shape.back()), a);
    }
    if (context->needs_input_grad(3)) db = low_rank_b_gradient(dy, narrow, b);
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(4)) dbias = dy.sum(0);
    return {dx, {}, {}, {}, da, db, {}, dbias};
  }
};

Tensor packed_low_rank_linear(const Tensor& input, const Tensor& codes, const c10::List<Tensor>& scales, int64_t rows,
                              const Tensor& a, const Tensor& b, double scale, const std::optional<Tensor>& bias) {
  Placement::on_cpu("packed_low_rank_linear", input, codes, a, b, bias);
  check_values(input, "packed_low_rank_linear", "input");
  TORCH_CHECK(input.dim() >= 1,
              "Expected shape [...,K] for `input` of tunesmith::packed_low_rank_linear, got a scalar.");
  check_low_rank(a, b, scale, rows, input.size(-1), "packed_low_rank_linear");
  if (!fits_low_rank(input, a, b))
    return packed_linear(input, codes, scales, rows, bias)
        .add(tunesmith::linear(tunesmith::linear(input, a, std::nullopt).mul(scale), b, std::nullopt));
  if (given(bias)) check_vector_values(*bias, rows, "packed_low_rank_linear", "bias");
  return PackedLowRankLinear::apply(input, codes, scales, rows, a.contiguous(), b.contiguous(), scale,
                                    given(bias) ? std::optional<Tensor>(bias->contiguous()) : std::nullopt);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("pack_int8(Tensor weight) -> (Tensor codes, Tensor scales)", &pack_int8);
  m.def("pack_int8_rows(Tensor weight) -> Tensor", &pack_int8_rows);
  m.def("pack_nf4(Tensor weight) -> (Tensor codes, Tensor scales)", &pack_nf4);
  m.def("pack_scales(Tensor scales) -> (Tensor codes, Tensor outer, Tensor offset)", &pack_scales);
  m.def("unpack_matrix(Tensor codes, Tensor[] scales, int rows, int columns) -> Tensor", &unpack_matrix);
  m.def("packed_linear(Tensor input, Tensor codes, Tensor[] scales, int rows, Tensor? bias) -> Tensor", &packed_linear);
  m.def(
      "packed_low_rank_linear(Tensor input, Tensor codes, Tensor[] scales, int rows, Tensor a, Tensor b, float scale, "
      "Tensor? bias) -> Tensor",
      &packed_low_rank_linear);
}

}  // namespace tunesmith
