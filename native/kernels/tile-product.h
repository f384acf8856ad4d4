// Products of bf16 by matrix tiles (AMX): weight gradients, whose left operand lies by columns, and some rows times a
// matrix that lies by rows, as layers have it.
#pragma once
#include "gemm.h"

namespace tunesmith {

// Whether this product is one that multiply_by_tiles computes faster than oneDNN, which turns the left operand around
// in a pass of its own.
bool takes_tiles(const Product& product);

void multiply_by_tiles(const Product& product);

// Whether this product is one of some rows with a matrix that lies by rows, which multiply_rows_by_tiles computes
// faster than oneDNN, as that packs the matrix each time.
bool takes_tile_rows(const Product& product);

void multiply_rows_by_tiles(const Product& product);

}  // namespace tunesmith
