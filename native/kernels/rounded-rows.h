// Rows that are rounded to bf16 for products with bf16 weights that are read in place: tokens of some texts in a model
// in bf16. By matrix tiles where there are any, else by dot products of pairs.
#pragma once
#include "table.h"

namespace tunesmith {

// Whether float32 rows of a model in bf16, so many at a time, are rounded to bf16 to be multiplied: from five rows on,
// as fewer wait for the weight either way.
bool rounds_rows(int64_t rows);

class RoundedRows {
 public:
  // x [rows, depth] by rows, which follow one another unless they are bf16. What is copied lies in work memory of the
  // calling thread, until it takes some for other rows.
  RoundedRows(Matrix x, int64_t rows, int64_t depth);

  // Columns that a thread should take at a time, at least.
  int64_t unit() const { return panels_ != nullptr ? 64 : 16; }
  // Columns `first` to `last` of x times the transpose of `weight` [columns, depth] in bf16, whose rows lie in one
  // piece, plus the bias. A row has the same bits beside any others.
  void multiply(Matrix weight, int64_t columns, int64_t first, int64_t last, const void* bias, Type bias_type,
                void* out, Type out_type, int64_t out_stride) const;

 private:
  Matrix rows_;
  int64_t count_, depth_;
  const float* panels_ = nullptr;  // the rows for matrix tiles
};

}  // namespace tunesmith
