// The kernel table of one instruction set: compiled once for each, under the namespace named by TUNESMITH_ISA.
#ifndef TUNESMITH_ISA
#define TUNESMITH_ISA baseline
#endif
#include "attention-backward.h"
#include "attention-few.h"
#include "attention.h"
#include "block-rows.h"
#include "elementwise.h"
#include "few-rows.h"
#include "gemm.h"
#include "int8-rows.h"
#include "pair-product.h"
#include "peak.h"
#include "rows.h"
#include "tile-product.h"
#include "unpack.h"

namespace tunesmith::TUNESMITH_ISA {

// In quantize-blocks.cpp, whose sums must not be fused.
void encode_row(RowType type, const float* values, int64_t width, const float* columns, uint8_t* out);

const Kernels& table() {
  static constexpr Kernels kernels = {lanes,
                                      tile_rows,
                                      tile_columns,
                                      pack_rows,
                                      pack_columns,
                                      gemm_block,
                                      unpack,
                                      unpack_rounded,
                                      pack_few,
                                      few_rows,
                                      quantize_rows,
                                      block_rows,
                                      interleaved_bytes,
                                      interleave,
                                      finite_scales,
                                      quantize_int8_rows,
                                      int8_rows,
                                      encode_row,
                                      convert,
                                      scale,
                                      column_sums,
                                      add_rows,
                                      square_sum,
                                      activate,
                                      activate_backward,
                                      dropout,
                                      norm_rows,
                                      norm_rows_backward,
                                      entropy_row,
                                      log_prob_row,
                                      rotary_row,
                                      adamw,
                                      head_columns,
                                      attention_gradient_rows,
                                      attention_scratch,
                                      attention_pack,
                                      attention_forward,
                                      few_heads,
                                      attention_few,
                                      attention_backward_scratch,
                                      attention_backward,
#if defined(TUNESMITH_TILES)
                                      pack_tiles,
                                      multiply_tile_block,
                                      multiply_tile_rows,
#else
                                      nullptr,
                                      nullptr,
                                      nullptr,
#endif
#if defined(TUNESMITH_PAIRS)
                                      pack_pair_rows,
                                      pack_pair_columns,
                                      pair_block,
                                      few_pair_rows,
#else
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr,
#endif
                                      peak_rounds,
                                      soft_cap,
                                      soft_cap_backward};
  return kernels;
}

}  // namespace tunesmith::TUNESMITH_ISA
