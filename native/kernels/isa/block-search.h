// Searches for the scales of quantised groups with the arithmetic of ggml in float32, so that blocks have the same
// bytes. A lane is a group: eight groups are searched at once, each adding its values in ggml's order. Compiled without
// fused multiply-adds, which round once where ggml rounds twice.
// @source https://github.com/ggml-org/ggml, ggml-quants (weights of the errors, search of scales, order of operations)
#pragma once
#include <cstdint>
#if defined(__AVX__)
#include <immintrin.h>
#endif

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
  return __builtin_convertvector((Mask(x + 12582912.0f) & 0x007fffff) - 0x00400000, Lanes);
}
// The same where all magnitudes are below 2^22.
TUNESMITH_LANES Lanes nearest_small(Lanes x) { return (x + 12582912.0f) - 12582912.0f; }
TUNESMITH_LANES float nearest(float x) {
  const float sum = x + 12582912.0f;
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
  for (int i = 0; i < groups; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

// Groups with smaller values are zero.
constexpr float epsilon = 1e-15f;

// Values of eight groups, and the weights of their squared errors.
template <int size> struct Groups {
  Lanes x[size], weights[size];

  // Value i of group g is number g of vector i.
  static void transpose(const float* values, int count, Lanes* to) {
    float sorted[size * groups];
    for (int group = 0; group < groups; group++)
      for (int i = 0; i < size; i++) sorted[i * groups + group] = group < count ? values[group * size + i] : 0;
    __builtin_memcpy(to, sorted, sizeof(sorted));
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

TUNESMITH_LANES Lanes level_of(Lanes value, Lanes factor, float half) {
  return clamp(nearest_small(factor * value), -half, half - 1);
}

// Levels from -half to half - 1, for a factor of a group that is not zero, which makes no level larger than 2^22.
template <int size> SymmetricScale search_symmetric(const Groups<size>& group, float half) {
  Lanes most, weighted[size];
  const Lanes extreme = group.extreme(most);
  for (int i = 0; i < size; i++) weighted[i] = group.weights[i] * group.x[i];
  const auto sums = [&](Lanes factor, Lanes& products, Lanes& squares) {
    products = squares = Lanes{};
    for (int i = 0; i < size; i++) {
      const Lanes level = level_of(group.x[i], factor, half);
      products += weighted[i] * level;
      squares += group.weights[i] * level * level;
    }
  };
  Lanes factor = -half / extreme, products, squares;
  sums(factor, products, squares);
  Lanes scale = select(squares == 0.0f, Lanes{}, products / squares);
  Lanes best = scale * products;
  for (int step = -9; step <= 9; step++) {
    if (step == 0) continue;
    const Lanes tried = -(half + 0.1f * float(step)) / extreme;
    sums(tried, products, squares);
    const Mask better = (squares > 0.0f) & (products * products > best * squares);
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
};

// Scales and minima with levels from 0 to `top`, which are left in `levels`.
template <int size> RangeScale search_range(const Groups<size>& group, const Search& search, Lanes* levels) {
  const Lanes* x = group.x;
  const Lanes* weights = group.weights;
  Lanes lowest = x[0], most = x[0], sum_w = weights[0], sum_x = weights[0] * x[0];
  for (int i = 1; i < size; i++) {
    lowest = select(x[i] < lowest, x[i], lowest);
    most = select(x[i] > most, x[i], most);
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  Lanes least = select(lowest > 0.0f, Lanes{}, lowest);
  const Mask flat = most == least;
  const Lanes flat_minimum = -least;
  Lanes tried[size];
  const auto assign = [&](Lanes factor, Lanes* to) {
    // The largest magnitudes are those of the ends.
    const Mask small = (magnitude(factor * (lowest - least)) < 4e6f) & (magnitude(factor * (most - least)) < 4e6f);
    if (any(~(small | flat)))
      for (int i = 0; i < size; i++) to[i] = clamp(nearest(factor * (x[i] - least)), 0, search.top);
    else
      for (int i = 0; i < size; i++) to[i] = clamp(nearest_small(factor * (x[i] - least)), 0, search.top);
  };
  const auto error_of = [&](Lanes scale, Lanes minimum, const Lanes* of) {
    Lanes error{};
    for (int i = 0; i < size; i++) {
      const Lanes difference = scale * of[i] + minimum - x[i];
      error += weights[i] * (search.absolute ? magnitude(difference) : difference * difference);
    }
    return error;
  };
  const Lanes factor = search.top / (most - least);
  Lanes scale = 1.0f / factor;
  assign(factor, levels);
  Lanes best = error_of(scale, least, levels);
  for (int step = 0; step <= search.steps; step++) {
    // As in ggml, candidates begin at the best minimum so far.
    assign((search.start + search.delta * float(step) + search.top) / (most - least), tried);
    Lanes sum_l{}, sum_l2{}, sum_xl{};
    for (int i = 0; i < size; i++) {
      const Lanes weighted = weights[i] * tried[i];
      sum_l += weighted;
      sum_l2 += weighted * tried[i];
      sum_xl += weighted * x[i];
    }
    const Lanes determinant = sum_w * sum_l2 - sum_l * sum_l;
    Lanes candidate = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    Lanes minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    const Mask above = minimum > 0.0f;
    minimum = select(above, Lanes{}, minimum);
    candidate = select(above, sum_xl / sum_l2, candidate);
    const Lanes error = error_of(candidate, minimum, tried);
    const Mask better = (determinant > 0.0f) & (error < best);
    if (!any(better)) continue;
    for (int i = 0; i < size; i++) levels[i] = select(better, tried[i], levels[i]);
    best = select(better, error, best);
    scale = select(better, candidate, scale);
    least = select(better, minimum, least);
  }
  for (int i = 0; i < size; i++) levels[i] = select(flat, Lanes{}, levels[i]);
  return {select(flat, Lanes{}, scale), select(flat, flat_minimum, -least)};
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
