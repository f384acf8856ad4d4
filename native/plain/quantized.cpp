// Quantised matrices as compositions: a product dequantises the matrix, and its gradient does so again.
#include "plain.h"

namespace tunesmith::plain {
namespace {

// One value of each block for each of `count` elements.
Tensor spread(const Tensor& blocks, int64_t block, int64_t count) {
  return blocks.repeat_interleave(block).narrow(0, 0, count);
}

}  // namespace

Tensor unpack_scales(const Tensor& codes, const Tensor& outer, const Tensor& mean, const Tensor& values,
                     int64_t block) {
  return values.index_select(0, codes.to(at::kInt)) * spread(outer, block, codes.size(0)) + mean;
}

Tensor unpack_int8(const Tensor& codes, const Tensor& scales) { return codes.to(at::kFloat) * scales.unsqueeze(1); }

Tensor unpack_nf4(const Tensor& codes, const Tensor& scales, const Tensor& values, int64_t block, int64_t count) {
  const Tensor pairs = at::stack({codes.bitwise_right_shift(4), codes.bitwise_and(15)}, -1).flatten().to(at::kInt);
  return values.index_select(0, pairs.narrow(0, 0, count)) * spread(scales, block, count);
}

}  // namespace tunesmith::plain
