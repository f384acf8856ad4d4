// Probabilities from logits, and the rounding of numbers in predictions.

export const softmax = (logits: ArrayLike<number>): Float64Array => {
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i])
  const shares = Float64Array.from(logits, (logit) => Math.exp(logit - most))
  const sum = shares.reduce((total, share) => total + share, 0)
  return shares.map((share) => share / sum)
}

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit))

/** The index of the largest value; of equals, the first. */
export const argmax = (values: ArrayLike<number>): number => {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

/** Six significant digits, the precision of float32, so that predictions differ less between machines. */
export const rounded = (value: number): number => Number(value.toPrecision(6))
