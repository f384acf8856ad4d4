// The types that rows of tensors are written in, by their names.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/string_view.h>

#include <cstdint>
#include <optional>

#include "table.h"

namespace tunesmith {

struct RowFormat {
  const char* name;
  RowType type;
  int64_t values, bytes;  // of a block
  // Numbers for each column: none; an importance that may be missing; scales, one for each column or each row.
  enum { none, importance, column_scales, row_scales } columns;
  bool whole_blocks;

  int64_t row_bytes(int64_t width) const { return (width + values - 1) / values * bytes; }
};

// Throws for an unknown name and names all. `op` is what has been called.
const RowFormat& row_format(c10::string_view name, const char* op);

// The numbers of columns or rows as float32 in one run of memory, undefined for none. Throws for what the format has no
// place for.
at::Tensor expect_rows(const RowFormat& format, at::IntArrayRef shape, const std::optional<at::Tensor>& columns,
                       const char* op);

}  // namespace tunesmith
