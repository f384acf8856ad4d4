// tunesmith::peak_rate: what one thread computes in registers, as the ceiling that the rates of products are compared
// with. Measured by loops of the chosen kernel table, and of tiles (AMX), where the processor and the system have them.
#include <torch/library.h>

#include <algorithm>
#include <string>

#include "regions.h"
#include "table.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#define TUNESMITH_TILES
#endif

namespace tunesmith {
namespace {

#if defined(TUNESMITH_TILES)
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t column_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Four tiles of sums from two times two others, as a product has them.
__attribute__((target("amx-tile,amx-bf16,amx-int8"))) double tile_rounds(bool bytes, int64_t rounds) {
  if (!has_matrix_tiles()) return 0;
  TileShapes shapes;
  for (int i = 0; i < 8; i++) {
    shapes.column_bytes[i] = 64;
    shapes.rows[i] = 16;
  }
  _tile_loadconfig(&shapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t round = 0; round < rounds; round++) {
    if (bytes) {
      _tile_dpbusd(0, 4, 6);
      _tile_dpbusd(1, 4, 7);
      _tile_dpbusd(2, 5, 6);
      _tile_dpbusd(3, 5, 7);
    } else {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_release();
  return 4.0 * 2 * 16 * 16 * (bytes ? 64 : 32) * double(rounds);
}
#else
double tile_rounds(bool, int64_t) { return 0; }
#endif

struct Loop {
  const char* name;
  double (*run)(int64_t rounds);
};
template <Peak kind> double registers(int64_t rounds) {
  float numbers[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1e-3f, 1e-3f};
  return kernels().peak_rounds(kind, rounds, numbers);
}
constexpr Loop loops[] = {{"float32", registers<Peak::float32>},
                          {"bfloat16", registers<Peak::bfloat16>},
                          {"int8", registers<Peak::int8>},
                          {"bfloat16-tiles", [](int64_t rounds) { return tile_rounds(false, rounds); }},
                          {"int8-tiles", [](int64_t rounds) { return tile_rounds(true, rounds); }}};

// Operations in a second of CPU time of this thread, two for each multiply-add: the best of some runs of about a
// millisecond. 0 where the processor has no such instruction.
double peak_rate(c10::string_view name) {
  std::string all;
  for (const Loop& loop : loops) {
    all += (all.empty() ? "" : ", ") + std::string(loop.name);
    if (name != loop.name) continue;
    constexpr int64_t rounds = 50'000;
    double best = 0;
    for (int run = 0; run < 12; run++) {
      const int64_t before = thread_time();
      const double operations = loop.run(rounds);
      best = std::max(best, operations / double(std::max<int64_t>(1, thread_time() - before)) * 1e9);
    }
    return best;
  }
  TORCH_CHECK(false, "Expected one of ", all, " as `kind` of tunesmith::peak_rate, got ",
              std::string(name.substr(0, 40)), ".");
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) { m.def("peak_rate(str kind) -> float", &peak_rate); }

}  // namespace tunesmith
