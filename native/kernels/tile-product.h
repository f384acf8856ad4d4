// Products of bf16 by matrix tiles (AMX) for weight gradients, whose left operand lies by columns.
#pragma once
#include "gemm.h"

namespace tunesmith {

// Whether this product is one that multiply_by_tiles computes faster than oneDNN, which turns the left operand around
// in a pass of its own.
bool takes_tiles(const Product& product);

void multiply_by_tiles(const Product& product);

}  // namespace tunesmith
