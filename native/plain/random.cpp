// The counter-based random numbers of native/kernels/isa/math.h with operators on int64, so that a device drops the
// same elements as the CPU. Products wrap around; a shift to the right copies the sign, which a mask removes.
#include "plain.h"

namespace tunesmith::plain {
namespace {

constexpr int64_t low_word = 0xffffffff;

int64_t number(uint64_t bits) { return static_cast<int64_t>(bits); }

Tensor shifted(const Tensor& x, int64_t bits) {
  return x.__rshift__(bits).bitwise_and(number(~uint64_t{0} >> static_cast<unsigned>(bits)));
}

// @source splitmix64's finalizer
Tensor mix_wide(Tensor x) {
  x = x.bitwise_xor(shifted(x, 30)).mul(number(0xbf58476d1ce4e5b9u));
  x = x.bitwise_xor(shifted(x, 27)).mul(number(0x94d049bb133111ebu));
  return x.bitwise_xor(shifted(x, 31));
}

// Words of 32 bits in int64, never negative.
Tensor mix(Tensor x) {
  x = x.bitwise_xor(x.__rshift__(16)).mul(0x21f0aaad).bitwise_and(low_word);
  x = x.bitwise_xor(x.__rshift__(15)).mul(int64_t{0xd35a2d97}).bitwise_and(low_word);
  return x.bitwise_xor(x.__rshift__(15));
}

// Without keys the elements have numbers, in rows of this width.
constexpr int64_t unkeyed_bits = 30;

Tensor random_words(uint64_t seed, const Tensor& keys, const Tensor& columns) {
  const Tensor row = mix_wide(mix_wide(keys.add(number(0x9e3779b97f4a7c15u))).bitwise_xor(number(seed)));
  const Tensor low = row.bitwise_and(low_word), high = shifted(row, 32);
  return mix(mix(columns.bitwise_xor(low)).add(high).bitwise_and(low_word));
}

}  // namespace

Tensor survivors(uint64_t seed, const Tensor& row_keys, int64_t columns, uint32_t threshold) {
  const Tensor column = at::arange(columns, row_keys.options());
  return random_words(seed, row_keys.unsqueeze(-1), column).ge(int64_t{threshold});
}

Tensor dropout(const Tensor& input, double p, uint64_t seed, const std::optional<Tensor>& row_keys) {
  const auto threshold = uint32_t(p * 4294967296.0);
  Tensor kept;
  if (row_keys) {
    kept = survivors(seed, row_keys->flatten(), input.size(-1), threshold).view(input.sizes());
  } else {
    const Tensor element = at::arange(input.numel(), input.options().dtype(at::kLong));
    const Tensor column = element.bitwise_and((int64_t{1} << unkeyed_bits) - 1);
    kept = random_words(seed, element.__rshift__(unkeyed_bits), column).ge(int64_t{threshold}).view(input.sizes());
  }
  return at::masked_fill(input.mul(double(float(1.0 / (1.0 - p)))), kept.logical_not(), 0);
}

}  // namespace tunesmith::plain
