// Rows of tensors in the types of GGUF and ONNX files: blocks of GGUF have the bytes that ggml writes.
#include "row-types.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <string>

#include "checks.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr RowFormat formats[] = {{"Q4_0", RowType::q4_0, 32, 18, RowFormat::importance, true},
                                 {"Q4_1", RowType::q4_1, 32, 20, RowFormat::importance, true},
                                 {"Q5_0", RowType::q5_0, 32, 22, RowFormat::importance, true},
                                 {"Q5_1", RowType::q5_1, 32, 24, RowFormat::importance, true},
                                 {"Q8_0", RowType::q8_0, 32, 34, RowFormat::none, true},
                                 {"Q2_K", RowType::q2_k, 256, 84, RowFormat::importance, true},
                                 {"Q3_K", RowType::q3_k, 256, 110, RowFormat::importance, true},
                                 {"Q4_K", RowType::q4_k, 256, 144, RowFormat::importance, true},
                                 {"Q5_K", RowType::q5_k, 256, 176, RowFormat::importance, true},
                                 {"Q6_K", RowType::q6_k, 256, 210, RowFormat::importance, true},
                                 {"IQ4_NL", RowType::iq4_nl, 32, 18, RowFormat::importance, true},
                                 {"IQ4_XS", RowType::iq4_xs, 256, 136, RowFormat::importance, true},
                                 {"MXFP4", RowType::mxfp4, 32, 17, RowFormat::none, true},
                                 {"float16", RowType::float16, 1, 2, RowFormat::none, false},
                                 {"bfloat16", RowType::bfloat16, 1, 2, RowFormat::none, false},
                                 {"float32", RowType::float32, 1, 4, RowFormat::none, false},
                                 {"int8-by-column", RowType::int8, 1, 1, RowFormat::column_scales, false},
                                 {"int8-by-row", RowType::int8, 1, 1, RowFormat::row_scales, false},
                                 {"int4", RowType::int4, 32, 16, RowFormat::none, false},
                                 {"int4-scales", RowType::int4_scales, 32, 4, RowFormat::none, false}};

}  // namespace

const RowFormat& row_format(c10::string_view name, const char* op) {
  std::string all;
  for (const RowFormat& format : formats) {
    if (name == format.name) return format;
    all += (all.empty() ? "" : ", ") + std::string(format.name);
  }
  TORCH_CHECK(false, "Expected one of ", all, " as `format` of ", op, ", got ", std::string(name.substr(0, 40)), ".");
}

Tensor expect_rows(const RowFormat& format, at::IntArrayRef shape, const std::optional<Tensor>& columns,
                   const char* op) {
  const int64_t width = shape.empty() ? 1 : shape.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); i++) rows *= shape[i];
  TORCH_CHECK(!format.whole_blocks || (width > 0 && width % format.values == 0), "Expected rows of whole blocks of ",
              format.values, " values (", format.name, ") as `values` of ", op, ", got ", shape, ".");
  if (!given(columns)) {
    TORCH_CHECK(format.columns == RowFormat::none || format.columns == RowFormat::importance,
                "Expected scales as `columns` for ", format.name, " of ", op, ", got none.");
    return {};
  }
  TORCH_CHECK(format.columns != RowFormat::none, "Expected no `columns` for ", format.name, " of ", op, ", got some.");
  const int64_t wanted = format.columns == RowFormat::row_scales ? rows : width;
  const bool one = format.columns == RowFormat::row_scales && columns->dim() == 1 && columns->size(0) == 1;
  TORCH_CHECK(columns->device().is_cpu() && columns->scalar_type() == at::kFloat && columns->dim() == 1 &&
                  (columns->size(0) == wanted || one),
              "Expected float32 [", wanted, "] as `columns` for ", format.name, " of ", op, ", got ",
              columns->scalar_type(), " ", columns->sizes(), ".");
  return columns->contiguous();
}

namespace {

Tensor encode_rows(const Tensor& values, c10::string_view name, const std::optional<Tensor>& columns) {
  constexpr const char* op = "tunesmith::encode_rows";
  check_float(values, "encode_rows", "values");
  const RowFormat& format = row_format(name, op);
  TORCH_CHECK(values.dim() == 2, "Expected rows [R,K] as `values` of ", op, ", got ", values.sizes(), ".");
  const Tensor numbers = expect_rows(format, values.sizes(), columns, op);
  const int64_t width = values.size(1), row_bytes = format.row_bytes(width);
  Tensor out = at::empty({values.size(0), row_bytes}, values.options().dtype(at::kByte));
  const Tensor rows = values.to(at::kFloat).contiguous();
  const bool by_row = format.columns == RowFormat::row_scales;
  over_values(0, values.size(0), std::max<int64_t>(1, 4096 / std::max<int64_t>(1, width)),
              [&](int64_t first, int64_t last) {
                const float* from = rows.const_data_ptr<float>();
                const float* given_numbers = numbers.defined() ? numbers.const_data_ptr<float>() : nullptr;
                std::vector<float> repeated(by_row ? static_cast<size_t>(width) : 0);
                for (int64_t row = first; row < last; row++) {
                  if (by_row)
                    std::fill(repeated.begin(), repeated.end(), given_numbers[numbers.size(0) == 1 ? 0 : row]);
                  kernels().encode_row(format.type, from + row * width, width, by_row ? repeated.data() : given_numbers,
                                       out.mutable_data_ptr<uint8_t>() + row * row_bytes);
                }
              });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("encode_rows(Tensor values, str format, Tensor? columns) -> Tensor", &encode_rows);
}

}  // namespace tunesmith
