// Weights that are kept in the layout of packed products too. See packed-weights.cpp.
#pragma once
#include <ATen/core/Tensor.h>

#include "block-matrix.h"

namespace tunesmith {

// The panels of a weight [N,K], for its transpose as the right side of a product; null where none are kept. They are
// packed at the first use, and again when the weight has changed in place.
const float* kept_panels(const at::Tensor& weight);

// A matrix of blocks in the layout of its products, see `interleave` in table.h; null where none is kept. It is made at
// the first use, and again when the blocks have changed in place.
const void* kept_blocks(const BlockMatrix& matrix);

// Gives back the pages of a mapped file that a matrix was read from, where products read its copy. What still reads the
// file, such as embeddings, reads a few rows.
void give_back_copied(const BlockMatrix& matrix);

// A number that changes with each change of which weights are kept.
uint64_t packed_state();

}  // namespace tunesmith
