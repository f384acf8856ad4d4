// Products of bf16 by matrix tiles (AMX): of many rows, and of some rows times a matrix that lies by rows, as layers
// have it.
#pragma once
#include "gemm.h"

namespace tunesmith {

// Whether multiply_by_tiles can compute a product: of bf16 operands that have a stride of 1 each. And whether it is one
// of many rows, which it computes faster than oneDNN.
bool fits_tiles(const Product& product);
bool takes_tiles(const Product& product);

void multiply_by_tiles(const Product& product);

// Whether this product is one of some rows with a matrix that lies by rows, which multiply_rows_by_tiles computes
// faster than oneDNN, as that packs the matrix each time.
bool takes_tile_rows(const Product& product);

void multiply_rows_by_tiles(const Product& product);

// The same in parts, for callers that share the columns among threads themselves: whether so many rows, and a weight of
// so many columns in such rows, are multiplied by tiles, and the rows in the form that `multiply_tile_rows` takes.
bool fits_tile_rows(int64_t rows, int64_t depth);
bool fits_tile_weight(int64_t columns, int64_t row_stride);
int64_t tile_rows_floats(int64_t rows, int64_t depth);
void pack_tile_rows(Matrix rows, int64_t count, int64_t depth, float* packed);

}  // namespace tunesmith
