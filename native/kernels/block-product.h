// Products with matrices of blocks, on all threads; addresses, not tensors.
#pragma once
#include "table.h"

namespace tunesmith {

constexpr int64_t block_group = 32;  // columns that share a scale of the input

// Whether products with two matrices take the same codes of their input.
bool share_input(Code a, Code b);

// Rows of the input in int8 as a matrix takes them, in memory that this thread keeps until the next call.
const void* quantized(Matrix x, int64_t rows, int64_t depth, Code code);

// Columns `first` to `last` of a product, by the calling thread.
void multiply_some(const BlockProduct& product, int64_t first, int64_t last);

// All columns, on all threads.
void multiply(const BlockProduct& product);

}  // namespace tunesmith
