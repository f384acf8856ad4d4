// Rows of float32 in the types of files, those of GGUF with the same bytes as ggml: compiled once for each instruction
// set, under the namespace named by TUNESMITH_ISA, without fused multiply-adds.
// @source https://github.com/ggml-org/ggml, ggml-quants (layout of blocks, order of operations and rounding)
#ifndef TUNESMITH_ISA
#define TUNESMITH_ISA baseline
#endif
#include "../table.h"
#include "block-search.h"
#include "plain-rows.h"

namespace tunesmith::TUNESMITH_ISA {
namespace blocks {
namespace {

// Of 0 and -0, the first.
float largest_of(float a, float b) { return b > a ? b : a; }

// The scale with the largest magnitude.
float extreme_of(const float* scales, int count) {
  float best = 0;
  for (int i = 0; i < count; i++)
    if (__builtin_fabsf(scales[i]) > __builtin_fabsf(best)) best = scales[i];
  return best;
}

float sum_of_squares(const float* x, int64_t count) {
  float sum = 0;
  for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
  return sum;
}

// Levels of groups in the order of the values.
template <int size> void store_levels(const Lanes* levels, uint8_t* out) {
  int32_t whole[size * groups];
  for (int i = 0; i < size; i++) {
    const Mask own = __builtin_convertvector(levels[i], Mask);
    __builtin_memcpy(whole + i * groups, &own, sizeof(own));
  }
  for (int group = 0; group < groups; group++)
    for (int i = 0; i < size; i++) out[group * size + i] = uint8_t(whole[i * groups + group]);
}

typedef uint8_t Bytes __attribute__((vector_size(groups)));

// Levels of `count` values with a known step, plus `offset`.
struct StoredLevels {
  float step, low, high;
  int offset;
};
void levels_of(const float* x, int count, float shift, const StoredLevels& stored, uint8_t* out) {
  for (int from = 0; from < count; from += groups) {
    Lanes values;
    __builtin_memcpy(&values, x + from, sizeof(values));
    const Lanes level = clamp(nearest((values + shift) / stored.step), stored.low, stored.high);
    const Bytes whole = __builtin_convertvector(__builtin_convertvector(level, Mask) + stored.offset, Bytes);
    __builtin_memcpy(out + from, &whole, sizeof(whole));
  }
}

void store(Lanes x, float* out) { __builtin_memcpy(out, &x, sizeof(x)); }

// Low four bits in pairs (i, i + 16), after the fifth bits of all 32 where there are five.
void pack_levels(const uint8_t* levels, int bits, uint8_t* out) {
  if (bits == 5) {
    uint32_t fifth = 0;
    for (int i = 0; i < 32; i++) fifth |= uint32_t(levels[i] >> 4 & 1) << i;
    __builtin_memcpy(out, &fifth, 4);
    out += 4;
  }
  for (int i = 0; i < 16; i++) out[i] = uint8_t((levels[i] & 15) | (levels[i + 16] & 15) << 4);
}

// Two bits of each of 256 levels: a byte has those of the values i, i + 32, i + 64 and i + 96.
void pack_two_bits(const uint8_t* levels, uint8_t* out) {
  for (int part = 0; part < 2; part++, levels += 128)
    for (int i = 0; i < 32; i++)
      out[32 * part + i] =
          uint8_t((levels[i] & 3) | (levels[i + 32] & 3) << 2 | (levels[i + 64] & 3) << 4 | (levels[i + 96] & 3) << 6);
}

// write(first value, number of blocks) for as many blocks of 32 as are searched at once, or what is left of the row.
template <class Write> void by_lanes(int64_t width, Write&& write) {
  for (int64_t from = 0; from < width; from += 32 * groups) {
    const int64_t rest = (width - from) / 32;
    write(from, int(rest < groups ? rest : groups));
  }
}

void q8_0(const Row& row, uint8_t* out) {
  for (int64_t from = 0; from < row.width; from += 32, out += 34) {
    Lanes x[32 / groups], most{};
    __builtin_memcpy(x, row.values + from, sizeof(x));
    for (const Lanes& part : x) most = select(magnitude(part) > most, magnitude(part), most);
    float largest = 0;
    for (int i = 0; i < groups; i++) largest = largest_of(largest, most[i]);
    const float scale = largest / 127, factor = inverse(scale);
    put_half(out, to_half(scale));
    for (int part = 0; part < 32 / groups; part++) {
      // Nearest integer, ties away from zero.
      const Lanes scaled = x[part] * factor;
      const Mask whole = __builtin_convertvector(scaled, Mask);
      const Lanes rest = scaled - __builtin_convertvector(whole, Lanes);
      const Mask level = whole - (rest >= 0.5f) + (rest <= -0.5f);
      for (int i = 0; i < groups; i++) out[2 + groups * part + i] = uint8_t(level[i]);
    }
  }
}

void plain_symmetric(const Row& row, int bits, uint8_t* out) {
  const float half = float(1 << (bits - 1));
  const int top = (1 << bits) - 1;
  uint8_t levels[32];
  for (int64_t from = 0; from < row.width; from += 32, out += bits == 4 ? 18 : 22) {
    const float* x = row.values + from;
    const float scale = extreme_of(x, 32) / -half, factor = inverse(scale);
    put_half(out, to_half(scale));
    for (int i = 0; i < 32; i++) {
      const int level = int(x[i] * factor + (half + 0.5f));
      levels[i] = uint8_t(level < top ? level : top);
    }
    pack_levels(levels, bits, out + 2);
  }
}

void plain_with_minimum(const Row& row, int bits, uint8_t* out) {
  const int top = (1 << bits) - 1;
  uint8_t levels[32];
  for (int64_t from = 0; from < row.width; from += 32, out += bits == 4 ? 20 : 24) {
    const float* x = row.values + from;
    float least = x[0], most = x[0];
    for (int i = 1; i < 32; i++) {
      if (x[i] < least) least = x[i];
      if (x[i] > most) most = x[i];
    }
    const float scale = (most - least) / float(top), factor = inverse(scale);
    put_half(out, to_half(scale));
    put_half(out + 2, to_half(least));
    for (int i = 0; i < 32; i++) {
      const int level = int((x[i] - least) * factor + 0.5f);
      levels[i] = uint8_t(level < top ? level : top);
    }
    pack_levels(levels, bits, out + 4);
  }
}

void weighted_symmetric(const Row& row, int bits, uint8_t* out) {
  const float half = float(1 << (bits - 1));
  const Lanes variance = all(sum_of_squares(row.values, row.width) / float(row.width));
  Groups<32> group;
  Lanes levels[32];
  uint8_t stored[32 * groups];
  by_lanes(row.width, [&](int64_t from, int count) {
    group.load(row.values + from, count);
    group.weigh_by(row.importance + from, variance, count);
    const SymmetricScale found = search_symmetric(group, half);
    // Groups of zeros keep the levels that ggml's search leaves.
    for (int i = 0; i < 32; i++)
      levels[i] = select(found.factor == 0.0f, Lanes{}, half + level_of(group.x[i], found.factor, half));
    store_levels<32>(levels, stored);
    for (int block = 0; block < count; block++, out += bits == 4 ? 18 : 22) {
      put_half(out, to_half(found.scale[block]));
      pack_levels(stored + 32 * block, bits, out + 2);
    }
  });
}

constexpr Search wide(float top) { return {top, -0.9f, 36, 0.05f}; }

void weighted_with_minimum(const Row& row, int bits, uint8_t* out) {
  const Lanes variance = all(sum_of_squares(row.values, row.width) / float(row.width));
  const float top = float((1 << bits) - 1);
  Groups<32> group[1];
  RangeScale ranges[1];
  Lanes levels[32];
  uint8_t stored[32 * groups];
  by_lanes(row.width, [&](int64_t from, int count) {
    group[0].load(row.values + from, count);
    group[0].weigh_by(row.importance + from, variance, count);
    search_range(group, wide(top), ranges);
    const RangeScale& found = ranges[0];
    range_levels(group[0], found, top, levels);
    store_levels<32>(levels, stored);
    for (int block = 0; block < count; block++, out += bits == 4 ? 20 : 24) {
      put_half(out, to_half(found.scale[block]));
      put_half(out + 2, to_half(-found.minimum[block]));
      pack_levels(stored + 32 * block, bits, out + 4);
    }
  });
}

void put_iq4(const float* x, float factor, uint8_t* out) {
  for (int i = 0; i < 16; i++)
    out[i] = uint8_t(nearest_iq4_index(factor * x[i]) | nearest_iq4_index(factor * x[i + 16]) << 4);
}

void iq4_nl(const Row& row, uint8_t* out) {
  Groups<32> group;
  by_lanes(row.width, [&](int64_t from, int count) {
    group.load(row.values + from, count);
    if (row.importance == nullptr) {
      group.weigh_by_squares();
    } else {
      Lanes variance{};
      for (int i = 0; i < 32; i++) variance += group.x[i] * group.x[i];
      group.weigh_by(row.importance + from, variance * (2.0f / 32), count);
    }
    const Lanes scales = search_iq4(group);
    for (int block = 0; block < count; block++, out += 18) {
      put_half(out, to_half(scales[block]));
      put_iq4(row.values + from + 32 * block, inverse(scales[block]), out + 2);
    }
  });
}

// Blocks of 256 whose groups of `size` are searched at once.
template <int size> constexpr int blocks_at_once = groups * size > 256 ? groups * size / 256 : 1;

// write(first value, number of blocks) for so many blocks of 256, or what is left of the row.
template <int size, class Write> void by_blocks(int64_t width, Write&& write) {
  for (int64_t from = 0; from < width; from += 256 * blocks_at_once<size>) {
    const int64_t rest = (width - from) / 256;
    write(from, int(rest < blocks_at_once<size> ? rest : blocks_at_once<size>));
  }
}

// In the lane of each group of `size`, `times` the mean square of its block of 256: what importance is smoothed by.
template <int size> Lanes mean_squares(const float* x, int first_group, int count, float times) {
  Lanes means{};
  float mean = 0;
  for (int i = 0; i < count; i++) {
    if (i == 0 || (first_group + i) % (256 / size) == 0)
      mean = times * sum_of_squares(x + (first_group + i) / (256 / size) * 256, 256) / 256;
    means[i] = mean;
  }
  return means;
}

void iq4_xs(const Row& row, uint8_t* out) {
  Groups<32> group;
  by_blocks<32>(row.width, [&](int64_t from, int blocks) {
    group.load(row.values + from, 8 * blocks);
    if (row.importance == nullptr)
      group.weigh_by_squares();
    else
      group.weigh_by(row.importance + from, mean_squares<32>(row.values + from, 0, 8 * blocks, 2), 8 * blocks);
    float found[groups];
    store(search_iq4(group), found);
    for (int block = 0; block < blocks; block++, out += 136) {
      const float* x = row.values + from + 256 * block;
      const float* scales = found + 8 * block;
      const float step = -extreme_of(scales, 8) / 32, factor = inverse(step);
      put_half(out, to_half(step));
      uint16_t high = 0;
      for (int i = 4; i < 8; i++) out[i] = 0;
      for (int i = 0; i < 8; i++) {
        const float level = clamp(nearest(factor * scales[i]), -32, 31);
        put_iq4(x + 32 * i, inverse(step * level), out + 8 + 16 * i);
        const int packed = int(level) + 32;
        out[4 + i / 2] = uint8_t(out[4 + i / 2] | (packed & 15) << 4 * (i % 2));
        high = uint16_t(high | packed >> 4 << 2 * i);
      }
      put_half(out + 2, high);
    }
  });
}

// Twice the levels of MXFP4.
constexpr float mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void mxfp4(const Row& row, uint8_t* out) {
  for (int64_t from = 0; from < row.width; from += 32, out += 17) {
    const float* x = row.values + from;
    const float most = __builtin_fabsf(extreme_of(x, 32));
    const uint8_t exponent = most > 0 ? uint8_t(int(__builtin_floorf(__builtin_log2f(most))) - 2 + 127) : 0;
    const float scale = float_of(exponent < 2 ? 0x200000u << exponent : uint32_t(exponent - 1) << 23);
    uint8_t levels[32];
    for (int part = 0; part < 32 / groups; part++) {
      Lanes values;
      __builtin_memcpy(&values, x + groups * part, sizeof(values));
      Mask best{};
      Lanes error = magnitude(mxfp4_levels[0] * scale - values);
      for (int i = 1; i < 16; i++) {
        const Lanes own = magnitude(mxfp4_levels[i] * scale - values);
        const Mask better = own < error;
        best = (better & i) | (~better & best);
        error = select(better, own, error);
      }
      for (int i = 0; i < groups; i++) levels[groups * part + i] = uint8_t(best[i]);
    }
    out[0] = exponent;
    pack_levels(levels, 4, out + 1);
  }
}

// Scales and minima of the groups of a block of 256, as whole numbers of the halves that they multiply, and where the
// levels of the search are.
struct RangeScales {
  uint16_t scale_half, minimum_half;
  uint8_t scales[16], minima[16];
  const float *factors, *starts;
};

// As ggml without an importance matrix: relative to the largest.
RangeScales relative_to_largest(const float* scales, const float* minima, int count, float top) {
  float largest = 0, lowest = 0;
  for (int i = 0; i < count; i++) {
    largest = largest_of(largest, scales[i]);
    lowest = largest_of(lowest, minima[i]);
  }
  const float to_scale = largest > 0 ? top / largest : 0, to_minimum = lowest > 0 ? top / lowest : 0;
  RangeScales found{to_half(largest / top), to_half(lowest / top), {}, {}, nullptr, nullptr};
  for (int i = 0; i < count; i++) {
    const auto scale = uint8_t(int(nearest(to_scale * scales[i])));
    const auto minimum = uint8_t(int(nearest(to_minimum * minima[i])));
    found.scales[i] = scale > top ? uint8_t(top) : scale;
    found.minima[i] = minimum > top ? uint8_t(top) : minimum;
  }
  return found;
}

// Sets of groups that are searched side by side, and the blocks of 256 that they are.
constexpr int range_sets = 2;
template <int size> constexpr int range_blocks = range_sets * blocks_at_once<size>;

// Searches blocks of 256 in groups of `size`; `times` as of mean_squares. What is found refers to itself.
template <int size> struct RangeSearch {
  static constexpr int per_block = 256 / size, most = per_block * range_blocks<size>;
  RangeScales blocks[range_blocks<size>];

  void search(const Row& row, int64_t from, int count, const Search& plain, float times, float top) {
    for (int first = 0; first < per_block * count; first += groups * range_sets) {
      for (int set = 0; set < range_sets; set++)
        load(row, from, first + groups * set, per_block * count - first - groups * set, plain, times, set);
      search_range(group_, row.importance == nullptr ? plain : wide(plain.top), ranges_);
      for (int set = 0; set < range_sets; set++) {
        const int at = first + groups * set;
        if (at >= per_block * count) break;
        store(ranges_[set].scale, scales_ + at);
        store(ranges_[set].minimum, minima_ + at);
        store(ranges_[set].factor, factors_ + at);
        store(ranges_[set].start, starts_ + at);
        store(group_[set].total_weight(), totals_ + at);
      }
    }
    for (int block = 0; block < count; block++) {
      const int at = per_block * block;
      RangeScales& found = blocks[block];
      if (row.importance == nullptr) {
        found = relative_to_largest(scales_ + at, minima_ + at, per_block, top);
      } else {
        found.scale_half = to_half(search_positive(scales_ + at, per_block, top, found.scales, totals_ + at));
        found.minimum_half = to_half(search_positive(minima_ + at, per_block, top, found.minima, totals_ + at));
      }
      found.factors = factors_ + at;
      found.starts = starts_ + at;
    }
  }

 private:
  void load(const Row& row, int64_t from, int first, int rest, const Search& plain, float times, int set) {
    Groups<size>& group = group_[set];
    const int count = rest < 0 ? 0 : rest < groups ? rest : groups;
    group.load(row.values + from + first * size, count);
    if (row.importance != nullptr)
      group.weigh_by(row.importance + from + first * size, mean_squares<size>(row.values + from, first, count, times),
                     count);
    else if (plain.absolute)
      group.weigh_by_magnitudes();
    else
      group.weigh_by_mean();
  }

  Groups<size> group_[range_sets];
  RangeScale ranges_[range_sets];
  float scales_[most], minima_[most], factors_[most], starts_[most], totals_[most];
};

// write(first value, number of blocks) for as many blocks of 256 as are searched at once, or what is left of the row.
template <int size, class Write> void by_ranges(int64_t width, Write&& write) {
  for (int64_t from = 0; from < width; from += 256 * range_blocks<size>) {
    const int64_t rest = (width - from) / 256;
    write(from, int(rest < range_blocks<size> ? rest : range_blocks<size>));
  }
}

// Levels of the values with the scales as they are stored; those of the search where a scale is stored as zero.
template <int size> void level_block(const float* x, const RangeScales& found, float top, uint8_t* levels) {
  const float scale = from_half(found.scale_half), minimum = from_half(found.minimum_half);
  for (int group = 0; group < 256 / size; group++, x += size, levels += size) {
    const float step = scale * (found.scales[group] & 63);
    if (step != 0)
      levels_of(x, size, minimum * (found.minima[group] & 63), {step, 0, top, 0}, levels);
    else
      for (int i = 0; i < size; i++)
        levels[i] = uint8_t(clamp(nearest(found.factors[group] * (x[i] - found.starts[group])), 0, top));
  }
}

void q2_k(const Row& row, uint8_t* out) {
  constexpr Search plain{3, -0.5f, 15, 0.1f, true};
  uint8_t levels[256];
  RangeSearch<16> ranges;
  by_ranges<16>(row.width, [&](int64_t from, int blocks) {
    ranges.search(row, from, blocks, plain, 1, 15);
    for (int block = 0; block < blocks; block++, out += 84) {
      RangeScales& found = ranges.blocks[block];
      for (int i = 0; i < 16; i++) {
        out[i] = uint8_t(found.scales[i] | found.minima[i] << 4);
        found.scales[i] = out[i] & 15;
        found.minima[i] = out[i] >> 4;
      }
      level_block<16>(row.values + from + 256 * block, found, 3, levels);
      pack_two_bits(levels, out + 16);
      put_half(out + 80, found.scale_half);
      put_half(out + 82, found.minimum_half);
    }
  });
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes.
void pack_scales(const RangeScales& found, uint8_t* out) {
  for (int i = 0; i < 12; i++) out[i] = 0;
  for (int i = 0; i < 8; i++) {
    const int scale = found.scales[i] & 63, minimum = found.minima[i] & 63;
    if (i < 4) {
      out[i] = uint8_t(scale);
      out[i + 4] = uint8_t(minimum);
    } else {
      out[i + 4] = uint8_t((scale & 15) | (minimum & 15) << 4);
      out[i - 4] = uint8_t(out[i - 4] | scale >> 4 << 6);
      out[i] = uint8_t(out[i] | minimum >> 4 << 6);
    }
  }
}

// Q4_K and Q5_K.
void ranged(const Row& row, const Search& plain, int bits, uint8_t* out) {
  uint8_t levels[256];
  RangeSearch<32> ranges;
  by_ranges<32>(row.width, [&](int64_t from, int blocks) {
    ranges.search(row, from, blocks, plain, 2, 63);
    for (int block = 0; block < blocks; block++) {
      const RangeScales& found = ranges.blocks[block];
      level_block<32>(row.values + from + 256 * block, found, plain.top, levels);
      put_half(out, found.scale_half);
      put_half(out + 2, found.minimum_half);
      pack_scales(found, out + 4);
      out += 16;
      if (bits == 5) {
        // Byte i has the fifth bit of value i of each group.
        for (int i = 0; i < 32; i++) {
          int byte = 0;
          for (int group = 0; group < 8; group++) byte |= levels[32 * group + i] >> 4 << group;
          out[i] = uint8_t(byte);
        }
        out += 32;
      }
      for (int pair = 0; pair < 4; pair++, out += 32)
        for (int i = 0; i < 32; i++)
          out[i] = uint8_t((levels[64 * pair + i] & 15) | (levels[64 * pair + 32 + i] & 15) << 4);
    }
  });
}

void q3_k(const Row& row, uint8_t* out) {
  Groups<16> group;
  Lanes found_levels[16];
  uint8_t levels[256];
  for (int64_t from = 0; from < row.width; from += 256, out += 110) {
    const float* x = row.values + from;
    const bool weighted = row.importance != nullptr;
    const Lanes variance = all(weighted ? 2 * sum_of_squares(x, 256) / 256 : 0);
    float found[16], totals[16], whole[16], step;
    for (int first = 0; first < 16; first += groups) {
      group.load(x + 16 * first);
      if (!weighted) {
        store(search_three_bits(group, found_levels), found + first);
      } else {
        group.weigh_by(row.importance + from + 16 * first, variance);
        store(group.total_weight(), totals + first);
        const SymmetricScale own = search_symmetric(group, 4);
        store(own.scale, found + first);
        for (int i = 0; i < 16; i++)
          found_levels[i] = select(own.factor == 0.0f, Lanes{}, 4.0f + level_of(group.x[i], own.factor, 4));
      }
      store_levels<16>(found_levels, levels + 16 * first);
    }
    float factor;
    if (!weighted) {
      const float largest = extreme_of(found, 16);
      factor = largest == 0 ? 0 : -32 / largest;
      step = largest == 0 ? 0 : 1 / factor;
    } else {
      // The scales are a group too, in every lane.
      Groups<16> scales;
      for (int i = 0; i < 16; i++) {
        scales.x[i] = all(found[i]);
        scales.weights[i] = all(totals[i]);
      }
      const SymmetricScale own = search_symmetric(scales, 32);
      factor = own.factor[0];
      step = own.scale[0];
    }
    // Without a scale all scales are zero bits, which mean -32.
    for (int i = 0; i < 16; i++) whole[i] = factor == 0 ? -32 : clamp(nearest(factor * found[i]), -32, 31);
    for (int i = 0; i < 110; i++) out[i] = 0;
    const uint16_t half = to_half(step);
    put_half(out + 108, half);
    for (int i = 0; i < 16; i++) {
      const int packed = int(whole[i]) + 32;
      out[96 + i % 8] = uint8_t(out[96 + i % 8] | (packed & 15) << (i < 8 ? 0 : 4));
      out[104 + i % 4] = uint8_t(out[104 + i % 4] | packed >> 4 << 2 * (i / 4));
      const float own = from_half(half) * whole[i];
      if (own == 0) continue;
      levels_of(x + 16 * i, 16, 0, {own, -4, 3, 4}, levels + 16 * i);
    }
    for (int i = 0; i < 256; i++) out[i % 32] = uint8_t(out[i % 32] | (levels[i] > 3) << (i / 32));
    pack_two_bits(levels, out + 32);
  }
}

void q6_k(const Row& row, uint8_t* out) {
  Groups<16> group;
  uint8_t levels[256];
  for (int64_t from = 0; from < row.width; from += 256, out += 210) {
    const float* x = row.values + from;
    float found[16], factors[16];
    for (int first = 0; first < 16; first += groups) {
      group.load(x + 16 * first);
      if (row.importance == nullptr)
        group.weigh_by_squares();
      else
        group.weigh_by(row.importance + from + 16 * first);
      const SymmetricScale own = search_symmetric(group, 32);
      store(own.scale, found + first);
      store(own.factor, factors + first);
    }
    const float largest = extreme_of(found, 16);
    if (__builtin_fabsf(largest) < epsilon) {
      for (int i = 0; i < 210; i++) out[i] = 0;
      continue;
    }
    const float factor = -128 / largest;
    const uint16_t half = to_half(1 / factor);
    put_half(out + 208, half);
    for (int i = 0; i < 16; i++) {
      const float rounded = nearest(factor * found[i]), scale = rounded > 127 ? 127 : rounded;
      out[192 + i] = uint8_t(int(scale));
      const float step = from_half(half) * scale;
      // Where a scale rounds to zero, ggml leaves the levels of the search.
      if (step != 0)
        levels_of(x + 16 * i, 16, 0, {step, -32, 31, 32}, levels + 16 * i);
      else
        for (int j = 0; j < 16; j++)
          levels[16 * i + j] =
              factors[i] == 0 ? 0 : uint8_t(32 + int(clamp(nearest(factors[i] * x[16 * i + j]), -32, 31)));
    }
    for (int part = 0; part < 2; part++) {
      const uint8_t* own = levels + 128 * part;
      for (int i = 0; i < 32; i++) {
        out[64 * part + i] = uint8_t((own[i] & 15) | (own[i + 64] & 15) << 4);
        out[64 * part + 32 + i] = uint8_t((own[i + 32] & 15) | (own[i + 96] & 15) << 4);
        out[128 + 32 * part + i] =
            uint8_t(own[i] >> 4 | own[i + 32] >> 4 << 2 | own[i + 64] >> 4 << 4 | own[i + 96] >> 4 << 6);
      }
    }
  }
}

}  // namespace
}  // namespace blocks

void encode_row(RowType type, const float* values, int64_t width, const float* columns, uint8_t* out) {
  using namespace blocks;
  const Row row{values, width, columns};
  const bool weighted = columns != nullptr;
  switch (type) {
    case RowType::q4_0: return weighted ? weighted_symmetric(row, 4, out) : plain_symmetric(row, 4, out);
    case RowType::q5_0: return weighted ? weighted_symmetric(row, 5, out) : plain_symmetric(row, 5, out);
    case RowType::q4_1: return weighted ? weighted_with_minimum(row, 4, out) : plain_with_minimum(row, 4, out);
    case RowType::q5_1: return weighted ? weighted_with_minimum(row, 5, out) : plain_with_minimum(row, 5, out);
    case RowType::q8_0: return q8_0(row, out);
    case RowType::q2_k: return q2_k(row, out);
    case RowType::q3_k: return q3_k(row, out);
    case RowType::q4_k: return ranged(row, {15, -1, 20}, 4, out);
    case RowType::q5_k: return ranged(row, {31, -0.5f, 15}, 5, out);
    case RowType::q6_k: return q6_k(row, out);
    case RowType::iq4_nl: return iq4_nl(row, out);
    case RowType::iq4_xs: return iq4_xs(row, out);
    case RowType::mxfp4: return mxfp4(row, out);
    case RowType::float16: return halves(row, out);
    case RowType::bfloat16: return brain_floats(row, out);
    case RowType::float32: __builtin_memcpy(out, values, sizeof(float) * uint64_t(width)); return;
    case RowType::int8: return int8(row, out);
    case RowType::int4: return int4(row, out);
    case RowType::int4_scales: return int4_scales(row, out);
  }
}

}  // namespace tunesmith::TUNESMITH_ISA
