// Products of bf16 by dot products of pairs of values (AVX-512 BF16), for many rows: layers and both of their
// gradients.
#pragma once
#include "gemm.h"

namespace tunesmith {

// Whether the chosen kernels have such products.
bool has_pair_products();

// Whether a product of this size is one that multiply_by_pairs should compute: beside oneDNN's products, one of many
// rows and columns, as others are not worth its packing.
bool takes_pairs(int64_t rows, int64_t columns, int64_t depth, bool beside_library);

// Of bf16 operands that have a stride of 1 each.
void multiply_by_pairs(const Product& product);

// Adds a [rows, depth] times b [depth, columns], of such operands, to `out`, whose rows follow one another.
void add_by_pairs(float* out, Matrix a, Matrix b, int64_t rows, int64_t columns, int64_t depth);

// Whether so few rows are multiplied without packing anything by multiply_few_by_pairs, where the right operand lies by
// columns, as the weights of layers do, and nothing is added to the result.
bool takes_few_pairs(int64_t rows);

// Of bf16 operands: a has a column stride of 1, b a row stride of 1. A row has the same bits beside any others.
void multiply_few_by_pairs(const Product& product);

}  // namespace tunesmith
