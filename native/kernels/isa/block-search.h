// Searches for the scales of quantised groups with the arithmetic of ggml in float32, so that blocks have the same
// bytes. A lane is a group: eight or sixteen are searched at once, each adding its values in ggml's order. Compiled
// without fused multiply-adds, which round once where ggml rounds twice.
// @source https://github.com/ggml-org/ggml, ggml-quants (weights of the errors, search of scales, order of operations)
#pragma once
#include <cstdint>
#if defined(__AVX__)
#include <immintrin.h>
#endif
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {
namespace blocks {

// Searched at once.
#if defined(__AVX512F__)
constexpr int groups = 16;
#else
constexpr int groups = 8;
#endif
typedef float Lanes __attribute__((vector_size(groups * 4)));
typedef int32_t Mask __attribute__((vector_size(groups * 4)));

#define TUNESMITH_LANES static inline __attribute__((always_inline))

TUNESMITH_LANES Lanes all(float x) { return x - Lanes{}; }
TUNESMITH_LANES Lanes select(Mask mask, Lanes yes, Lanes no) {
#if defined(__AVX512F__)
  return mask ? yes : no;
#else
  return Lanes((mask & Mask(yes)) | (~mask & Mask(no)));
#endif
}
// limit < x ? limit : x, which keeps NaN.
TUNESMITH_LANES Lanes at_most(Lanes x, float limit) {
#if defined(__AVX512F__)
  return Lanes(_mm512_min_ps(__m512(all(limit)), __m512(x)));
#elif defined(__AVX__)
  return Lanes(_mm256_min_ps(__m256(all(limit)), __m256(x)));
#else
  return select(x > limit, all(limit), x);
#endif
}
TUNESMITH_LANES Lanes at_least(Lanes x, float limit) {
#if defined(__AVX512F__)
  return Lanes(_mm512_max_ps(__m512(all(limit)), __m512(x)));
#elif defined(__AVX__)
  return Lanes(_mm256_max_ps(__m256(all(limit)), __m256(x)));
#else
  return select(x < limit, all(limit), x);
#endif
}
TUNESMITH_LANES Lanes magnitude(Lanes x) { return Lanes(Mask(x) & 0x7fffffff); }
// Nearest integer, ties to even, of magnitudes below 2^22, and ggml's number for others.
TUNESMITH_LANES Lanes nearest(Lanes x) {
  return __builtin_convertvector((Mask(x + rounding) & 0x007fffff) - 0x00400000, Lanes);
}
// The same where all magnitudes are below 2^22.
TUNESMITH_LANES Lanes nearest_small(Lanes x) { return (x + rounding) - rounding; }
TUNESMITH_LANES float nearest(float x) {
  const float sum = x + rounding;
  int32_t bits;
  __builtin_memcpy(&bits, &sum, 4);
  return float((bits & 0x007fffff) - 0x00400000);
}
TUNESMITH_LANES Lanes clamp(Lanes x, float low, float high) { return at_least(at_most(x, high), low); }
TUNESMITH_LANES float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
TUNESMITH_LANES bool any(Mask mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(__m512i(mask), __m512i(mask)) != 0;
#elif defined(__AVX__)
  return _mm256_testz_si256(__m256i(mask), __m256i(mask)) == 0;
#else
  int32_t found = 0;
  for (int i = 0; i < groups; i++) found |= mask[i];
  return found != 0;
#endif
}
TUNESMITH_LANES Lanes square_root(Lanes x) {
#if defined(__AVX512F__)
  return Lanes(_mm512_sqrt_ps(__m512(x)));
#elif defined(__AVX__)
  return Lanes(_mm256_sqrt_ps(__m256(x)));
#else
  for (int i = 0; i < groups; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

// The lanes of two vectors that `from` numbers.
TUNESMITH_LANES Lanes chosen_lanes(const Lanes& a, const Lanes& b, const Mask& from) {
#if defined(__clang__)
  Lanes out;
  for (int i = 0; i < groups; i++) out[i] = from[i] < groups ? a[from[i]] : b[from[i] - groups];
  return out;
#else
  return __builtin_shuffle(a, b, from);
#endif
}

// Exchanges the blocks of `half` lanes and rows beside the diagonal of a square, then those within them.
template <int half> TUNESMITH_LANES void exchange(Lanes* rows) {
  Mask upper{}, lower{};
  for (int lane = 0; lane < groups; lane++) {
    upper[lane] = (lane & half) != 0 ? groups + lane - half : lane;
    lower[lane] = (lane & half) != 0 ? groups + lane : lane + half;
  }
  for (int row = 0; row < groups; row++) {
    if ((row & half) != 0) continue;
    const Lanes a = rows[row], b = rows[row + half];
    rows[row] = chosen_lanes(a, b, upper);
    rows[row + half] = chosen_lanes(a, b, lower);
  }
  if constexpr (half > 1) exchange<half / 2>(rows);
}
TUNESMITH_LANES void transpose_square(Lanes* rows) { exchange<groups / 2>(rows); }

// Groups with smaller values are zero.
constexpr float epsilon = 1e-15f;

// Values of eight groups, and the weights of their squared errors.
template <int size> struct Groups {
  Lanes x[size], weights[size];

  // Value i of group g is number g of vector i; groups after `count` are zeros.
  static void transpose(const float* values, int count, Lanes* to) {
    for (int from = 0; from < size; from += groups) {
      Lanes square[groups] = {};
      for (int group = 0; group < count; group++)
        __builtin_memcpy(square + group, values + group * size + from, sizeof(Lanes));
      transpose_square(square);
      __builtin_memcpy(to + from, square, sizeof(square));
    }
  }

  // Groups that follow each other; those after `count` are zeros.
  void load(const float* values, int count = groups) { transpose(values, count, x); }

  void weigh_by_squares() {
    for (int i = 0; i < size; i++) weights[i] = x[i] * x[i];
  }
  void weigh_by_magnitudes() {
    for (int i = 0; i < size; i++) weights[i] = magnitude(x[i]);
  }
  // The magnitude and the root of the group's mean square.
  void weigh_by_mean() {
    Lanes sum{};
    for (int i = 0; i < size; i++) sum += x[i] * x[i];
    const Lanes mean = square_root(sum / float(size));
    for (int i = 0; i < size; i++) weights[i] = mean + magnitude(x[i]);
  }
  void weigh_by(const float* importance, int count = groups) { transpose(importance, count, weights); }
  // Importance of the column times a smoothed magnitude.
  void weigh_by(const float* importance, Lanes variance, int count = groups) {
    weigh_by(importance, count);
    for (int i = 0; i < size; i++) weights[i] = weights[i] * square_root(variance + x[i] * x[i]);
  }
  Lanes total_weight() const {
    Lanes sum{};
    for (int i = 0; i < size; i++) sum += weights[i];
    return sum;
  }

  // The value of largest magnitude, with its sign.
  Lanes extreme(Lanes& most) const {
    Lanes signed_most{};
    most = Lanes{};
    for (int i = 0; i < size; i++) {
      const Lanes own = magnitude(x[i]);
      const Mask larger = own > most;
      most = select(larger, own, most);
      signed_most = select(larger, x[i], signed_most);
    }
    return signed_most;
  }
};

// Scale of a symmetric group, and the factor that gives its levels; zeros for a group of zeros.
struct SymmetricScale {
  Lanes scale, factor;
};

template <int which> struct Limits {
  static constexpr int value = which;
};
// Levels from -half to half - 1. `limits` says which ends a level may be beyond: 1 below, 2 above.
template <int limits> TUNESMITH_LANES Lanes level_within(Lanes value, Lanes factor, float half) {
  Lanes level = nearest_small(factor * value);
  if constexpr ((limits & 2) != 0) level = at_most(level, half - 1);
  if constexpr ((limits & 1) != 0) level = at_least(level, -half);
  return level;
}
TUNESMITH_LANES Lanes level_of(Lanes value, Lanes factor, float half) { return level_within<3>(value, factor, half); }

// Levels from -half to half - 1, for a factor of a group that is not zero, which makes no level larger than 2^22.
template <int size> SymmetricScale search_symmetric(const Groups<size>& group, float half) {
  Lanes most, weighted[size];
  const Lanes extreme = group.extreme(most);
  for (int i = 0; i < size; i++) weighted[i] = group.weights[i] * group.x[i];
  Lanes factor, scale, best;
  const auto sums = [&](auto limits, Lanes tried, Lanes& products, Lanes& squares) {
    products = squares = Lanes{};
    for (int i = 0; i < size; i++) {
      const Lanes own = level_within<decltype(limits)::value>(group.x[i], tried, half);
      products += weighted[i] * own;
      squares += group.weights[i] * own * own;
    }
  };
  Lanes products, squares;
  factor = -half / extreme;
  sums(Limits<3>{}, factor, products, squares);
  scale = select(squares == 0.0f, Lanes{}, products / squares);
  best = scale * products;
  for (int step = -9; step <= 9; step++) {
    if (step == 0) continue;
    const Lanes tried = -(half + 0.1f * float(step)) / extreme;
    // The extreme becomes -(half + step / 10): levels below -half need a step of 5, those above half - 1 one of -5.
    if (step < -5)
      sums(Limits<0>{}, tried, products, squares);
    else if (step < 5)
      sums(Limits<2>{}, tried, products, squares);
    else
      sums(Limits<3>{}, tried, products, squares);
    const Mask better = (squares > 0.0f) & (products * products > best * squares);
    if (!any(better)) continue;
    factor = select(better, tried, factor);
    scale = select(better, products / squares, scale);
    best = select(better, scale * products, best);
  }
  const Mask zero = most < epsilon;
  return {select(zero, Lanes{}, scale), select(zero, Lanes{}, factor)};
}

// How the scale of a group with a minimum is searched.
struct Search {
  float top;              // highest level
  float start;            // first candidate, relative to the range of the values
  int steps;              // candidates after it
  float delta = 0.1f;     // distance of two candidates
  bool absolute = false;  // sum absolute errors, not their squares
};

struct RangeScale {
  Lanes scale, minimum;  // of levels that are multiplied and then reduced
  Lanes factor, start;   // the levels are those of factor * (x - start)
};

// Levels from 0 to `top`, of any number and of those below 2^22.
struct AnyLevel {
  float top;
  Lanes operator()(Lanes x) const { return clamp(nearest(x), 0, top); }
};
struct SmallLevel {
  float top;
  Lanes operator()(Lanes x) const { return clamp(nearest_small(x), 0, top); }
};
#if defined(__AVX512F__)
// The same from -8 to 23 where `top` is at most 15: the low five bits of the rounded number are the place in a table.
struct TableLevel {
  __m512 low, high;
  static constexpr float least = -8, most = 23, highest_top = 15;

  explicit TableLevel(float top) {
    float table[32];
    for (int i = 0; i < 16; i++) {
      table[i] = float(i) < top ? float(i) : top;
      table[16 + i] = i < 8 ? top : 0;
    }
    low = _mm512_loadu_ps(table);
    high = _mm512_loadu_ps(table + 16);
  }
  Lanes operator()(Lanes x) const {
    return Lanes(_mm512_permutex2var_ps(low, _mm512_castps_si512(__m512(x + rounding)), high));
  }
};
#endif

// The levels that a search has found, as floats.
template <int size> void range_levels(const Groups<size>& group, const RangeScale& found, float top, Lanes* levels) {
  for (int i = 0; i < size; i++) levels[i] = AnyLevel{top}(found.factor * (group.x[i] - found.start));
}

// Scales and minima with levels from 0 to `top`, for several sets of groups side by side: the processor adds to one sum
// while it waits for another.
template <int size, int sets>
void search_range(const Groups<size> (&group)[sets], const Search& search, RangeScale (&found)[sets]) {
  struct State {
    Lanes lowest, most, sum_w, sum_x, least, best;
    Mask flat;
  } states[sets];
  Lanes tried[sets][size], factors[sets];
  for (int set = 0; set < sets; set++) {
    const Lanes *x = group[set].x, *weights = group[set].weights;
    State& own = states[set];
    own.lowest = own.most = x[0];
    own.sum_w = weights[0];
    own.sum_x = weights[0] * x[0];
    for (int i = 1; i < size; i++) {
      own.lowest = select(x[i] < own.lowest, x[i], own.lowest);
      own.most = select(x[i] > own.most, x[i], own.most);
      own.sum_w += weights[i];
      own.sum_x += weights[i] * x[i];
    }
    own.least = select(own.lowest > 0.0f, Lanes{}, own.lowest);
    own.flat = own.most == own.least;
  }
#if defined(__AVX512F__)
  const TableLevel table(search.top < TableLevel::highest_top ? search.top : TableLevel::highest_top);
#endif
  // Passes what makes levels of values between the ends of all groups.
  const auto with_level = [&](auto&& body) {
    Mask large{};
#if defined(__AVX512F__)
    Mask outside{};
#endif
    for (int set = 0; set < sets; set++) {
      const State& own = states[set];
      const Lanes ends[2] = {factors[set] * (own.lowest - own.least), factors[set] * (own.most - own.least)};
      for (const Lanes& end : ends) {
        large |= ~((magnitude(end) < 4e6f) | own.flat);
#if defined(__AVX512F__)
        outside |= ~(((end > TableLevel::least) & (end < TableLevel::most)) | own.flat);
#endif
      }
    }
    if (any(large)) return body(AnyLevel{search.top});
#if defined(__AVX512F__)
    if (search.top <= TableLevel::highest_top && !any(outside)) return body(table);
#endif
    body(SmallLevel{search.top});
  };
  const auto errors_of = [&](const Lanes(&scale)[sets], const Lanes(&minimum)[sets], Lanes(&error)[sets]) {
    for (Lanes& sum : error) sum = Lanes{};
    for (int i = 0; i < size; i++)
      for (int set = 0; set < sets; set++) {
        const Lanes difference = scale[set] * tried[set][i] + minimum[set] - group[set].x[i];
        error[set] += group[set].weights[i] * (search.absolute ? magnitude(difference) : difference * difference);
      }
  };
  Lanes scale[sets], minimum[sets], error[sets];
  for (int set = 0; set < sets; set++) {
    factors[set] = search.top / (states[set].most - states[set].least);
    scale[set] = 1.0f / factors[set];
    minimum[set] = states[set].least;
  }
  with_level([&](auto level) {
    for (int i = 0; i < size; i++)
      for (int set = 0; set < sets; set++) tried[set][i] = level(factors[set] * (group[set].x[i] - states[set].least));
  });
  errors_of(scale, minimum, error);
  for (int set = 0; set < sets; set++) {
    states[set].best = error[set];
    found[set] = {scale[set], minimum[set], factors[set], minimum[set]};
  }
  for (int step = 0; step <= search.steps; step++) {
    // As in ggml, candidates begin at the best minimum so far.
    Lanes sum_l[sets], sum_l2[sets], sum_xl[sets], determinant[sets];
    for (int set = 0; set < sets; set++) {
      factors[set] = (search.start + search.delta * float(step) + search.top) / (states[set].most - states[set].least);
      sum_l[set] = sum_l2[set] = sum_xl[set] = Lanes{};
    }
    with_level([&](auto level) {
      for (int i = 0; i < size; i++)
        for (int set = 0; set < sets; set++) {
          const Lanes x = group[set].x[i], own = level(factors[set] * (x - states[set].least));
          tried[set][i] = own;
          const Lanes weighted = group[set].weights[i] * own;
          sum_l[set] += weighted;
          sum_l2[set] += weighted * own;
          sum_xl[set] += weighted * x;
        }
    });
    for (int set = 0; set < sets; set++) {
      const State& own = states[set];
      determinant[set] = own.sum_w * sum_l2[set] - sum_l[set] * sum_l[set];
      scale[set] = (own.sum_w * sum_xl[set] - own.sum_x * sum_l[set]) / determinant[set];
      minimum[set] = (sum_l2[set] * own.sum_x - sum_l[set] * sum_xl[set]) / determinant[set];
      const Mask above = minimum[set] > 0.0f;
      if (!any(above)) continue;
      minimum[set] = select(above, Lanes{}, minimum[set]);
      scale[set] = select(above, sum_xl[set] / sum_l2[set], scale[set]);
    }
    errors_of(scale, minimum, error);
    for (int set = 0; set < sets; set++) {
      State& own = states[set];
      const Mask better = (determinant[set] > 0.0f) & (error[set] < own.best);
      own.best = select(better, error[set], own.best);
      found[set].scale = select(better, scale[set], found[set].scale);
      found[set].factor = select(better, factors[set], found[set].factor);
      found[set].start = select(better, own.least, found[set].start);
      own.least = select(better, minimum[set], own.least);
    }
  }
  for (int set = 0; set < sets; set++) {
    const State& own = states[set];
    const Lanes flat_minimum = select(own.lowest > 0.0f, Lanes{}, own.lowest);
    RangeScale& result = found[set];
    result.minimum = -select(own.flat, flat_minimum, own.least);
    result.scale = select(own.flat, Lanes{}, result.scale);
    result.factor = select(own.flat, Lanes{}, result.factor);
    result.start = select(own.flat, Lanes{}, result.start);
  }
}

// Scales of groups of 16 with levels from -4 to 3, which improve one level at a time. The levels are left in `levels`,
// from 0 to 7.
inline Lanes search_three_bits(Groups<16>& group, Lanes* levels) {
  group.weigh_by_squares();
  const Lanes* x = group.x;
  const Lanes* weights = group.weights;
  Lanes most;
  const Lanes extreme = group.extreme(most);
  const Lanes factor = -4.0f / extreme;
  Lanes products{}, squares{};
  for (int i = 0; i < 16; i++) {
    levels[i] = level_of(x[i], factor, 4);
    products += weights[i] * x[i] * levels[i];
    squares += weights[i] * levels[i] * levels[i];
  }
  // A group that has converged does not change in further rounds.
  Mask changed = most >= epsilon;
  const Mask searched = changed;
  for (int round = 0; round < 5 && any(changed); round++) {
    changed = Mask{};
    for (int i = 0; i < 16; i++) {
      Lanes without = products - weights[i] * x[i] * levels[i];
      const Mask positive = without > 0.0f;
      Lanes rest = squares - weights[i] * levels[i] * levels[i];
      const Lanes level = clamp(nearest(x[i] * rest / without), -4, 3);
      without += weights[i] * x[i] * level;
      rest += weights[i] * level * level;
      const Mask better = searched & positive & (level != levels[i]) & (rest > 0.0f) &
                          (without * without * squares > products * products * rest);
      levels[i] = select(better, level, levels[i]);
      products = select(better, without, products);
      squares = select(better, rest, squares);
      changed |= better;
    }
  }
  for (int i = 0; i < 16; i++) levels[i] = select(searched, levels[i] + 4.0f, Lanes{});
  return select(searched & (squares > 0.0f), products / squares, Lanes{});
}

// Scale of some positive numbers with levels from 0 to `top`, which improves one level at a time. The levels are left
// in `levels`.
inline float search_positive(const float* x, int count, float top, uint8_t* levels, const float* weights) {
  float most = 0;
  for (int i = 0; i < count; i++) most = x[i] > most ? x[i] : most;
  for (int i = 0; i < count; i++) levels[i] = 0;
  if (most < epsilon) return 0;
  const auto level_of = [&](float value) {
    const float level = nearest(value);
    return level > top ? top : level;
  };
  const auto error_of = [&](float factor, bool limited) {
    const float scale = 1 / factor;
    float error = 0;
    for (int i = 0; i < count; i++) {
      const float level = limited ? level_of(factor * x[i]) : float(uint8_t(int32_t(nearest(factor * x[i]))));
      const float difference = x[i] - scale * level;
      error += weights[i] * difference * difference;
    }
    return error;
  };
  float factor = top / most, best = error_of(factor, false);
  for (int step = -4; step <= 4; step++) {
    if (step == 0) continue;
    const float tried = (0.1f * float(step) + top) / most, error = error_of(tried, true);
    if (error >= best) continue;
    best = error;
    factor = tried;
  }
  float products = 0, squares = 0;
  for (int i = 0; i < count; i++) {
    const float level = level_of(factor * x[i]);
    levels[i] = uint8_t(int32_t(level));
    products += weights[i] * x[i] * level;
    squares += weights[i] * level * level;
  }
  bool changed = true;
  for (int round = 0; round < 5 && changed; round++) {
    changed = false;
    for (int i = 0; i < count; i++) {
      const float own = levels[i];
      float without = products - weights[i] * x[i] * own, rest = squares - weights[i] * own * own;
      if (!(without > 0 && rest > 0)) continue;
      const float level = level_of(x[i] * rest / without);
      if (level == own) continue;
      without += weights[i] * x[i] * level;
      rest += weights[i] * level * level;
      if (!(without * without * squares > products * products * rest)) continue;
      levels[i] = uint8_t(int32_t(level));
      products = without;
      squares = rest;
      changed = true;
    }
  }
  return squares > 0 ? products / squares : 0;
}

// The levels of IQ4_NL and IQ4_XS.
constexpr float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// The nearest of them. Halfway points are exact in float32, so comparing with them decides as ggml's distances do.
TUNESMITH_LANES Lanes nearest_iq4(Lanes x) {
  Lanes level = all(iq4_levels[0]);
  for (int i = 1; i < 16; i++) level = select(x >= (iq4_levels[i - 1] + iq4_levels[i]) / 2, all(iq4_levels[i]), level);
  return level;
}
TUNESMITH_LANES uint8_t nearest_iq4_index(float x) {
  int index = 0;
  for (int i = 1; i < 16; i++) index += x >= (iq4_levels[i - 1] + iq4_levels[i]) / 2;
  return uint8_t(index);
}

// Scales of groups of 32 with these levels: the best of fifteen, and of the one that the first level would choose.
inline Lanes search_iq4(const Groups<32>& group) {
  Lanes most;
  const Lanes extreme = group.extreme(most);
  const auto sums = [&](Lanes factor, Lanes& products, Lanes& squares) {
    products = squares = Lanes{};
    for (int i = 0; i < 32; i++) {
      const Lanes level = nearest_iq4(factor * group.x[i]);
      const Lanes weighted = group.weights[i] * level;
      products += weighted * group.x[i];
      squares += weighted * level;
    }
  };
  Lanes products, squares;
  sums(1.0f / (-extreme / iq4_levels[0]), products, squares);
  Lanes scale = select(squares > 0.0f, products / squares, Lanes{});
  Lanes best = scale * products;
  for (int step = -7; step <= 7; step++) {
    sums((float(step) + iq4_levels[0]) / extreme, products, squares);
    const Mask better = (squares > 0.0f) & (products * products > best * squares);
    scale = select(better, products / squares, scale);
    best = select(better, scale * products, best);
  }
  return select(most < epsilon, Lanes{}, scale);
}

}  // namespace blocks
}  // namespace tunesmith::TUNESMITH_ISA
