// A checked matrix of blocks, from tensors.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/string_view.h>

#include <optional>
#include <vector>

#include "table.h"

namespace tunesmith {

struct BlockMatrix {
  at::Tensor blocks, order;  // `order` is undefined where rows lie in order
  Code code = Code::q8_0;
  int64_t rows = 0, columns = 0;
  const void* interleaved = nullptr;  // the layout of products, where it is kept

  // Valid while the matrix lives.
  PackedMatrix view() const;
};

// @param blocks uint8 [rows, bytes of a row]
BlockMatrix block_matrix(const at::Tensor& blocks, c10::string_view format, const std::optional<at::Tensor>& order,
                         const char* op);

// The formats of several matrices, by commas; empty for a dense one, and nothing where all of them are dense.
std::vector<c10::string_view> block_formats(c10::string_view text);

}  // namespace tunesmith
