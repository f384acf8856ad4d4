// Scratch memory that a thread keeps between calls, so that operators need no new pages. Its contents are undefined.
#pragma once
#include <cstddef>
#include <cstdint>

namespace tunesmith {

enum class Scratch : int {
  rows,
  columns,
  partial,
  unpacked,
  attention,
  attention_gradient,
  rows_of_norm,
  decoder,
  layer_stream,
  quantized,
  dequantized,
  block_sums,
  changes,
  encoder,
  count
};

// At least `count` floats, 64-byte aligned, valid until this thread asks for the same kind again.
// A second call for the same kind in one operator would reuse the memory: each kind has one user at a time.
float* scratch(Scratch kind, int64_t count);

}  // namespace tunesmith
