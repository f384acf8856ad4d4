// The kernel table of a processor that has dot products of bytes (VNNI) beside the vectors of another table: products
// of bytes are compiled for it, under the namespace named by TUNESMITH_ISA; all others are those of TUNESMITH_BASE.
#include "block-rows.h"
#include "int8-rows.h"
#include "peak.h"

namespace tunesmith {

namespace TUNESMITH_BASE {
const Kernels& table();
}

namespace TUNESMITH_ISA {

const Kernels& table() {
  static const Kernels kernels = [] {
    Kernels own = TUNESMITH_BASE::table();
    own.quantize_rows = quantize_rows;
    own.block_rows = block_rows;
    own.interleaved_bytes = interleaved_bytes;
    own.interleave = interleave;
    own.finite_scales = finite_scales;
    own.quantize_int8_rows = quantize_int8_rows;
    own.int8_rows = int8_rows;
    own.peak_rounds = peak_rounds;
    return own;
  }();
  return kernels;
}

}  // namespace TUNESMITH_ISA
}  // namespace tunesmith
