// Mean, variance and whitening of per-token values over all trained tokens of a global batch. Plain numbers, so that the
// result does not depend on how the batch is split.

/** Values of one answer, one per completion token. */
export type TokenValues = ArrayLike<number>

/** Mean and variance with Bessel's correction of the values at nonzero places of the masks; 0 where there are too few. */
export const maskedMoments = (
  values: readonly TokenValues[],
  masks: readonly ArrayLike<number>[],
): { count: number; mean: number; variance: number } => {
  let count = 0
  let sum = 0
  for (let i = 0; i < values.length; i++)
    for (let t = 0; t < masks[i].length; t++)
      if (masks[i][t] !== 0) {
        count++
        sum += values[i][t]
      }
  const mean = count === 0 ? 0 : sum / count
  let squares = 0
  for (let i = 0; i < values.length; i++)
    for (let t = 0; t < masks[i].length; t++) if (masks[i][t] !== 0) squares += (values[i][t] - mean) ** 2
  return { count, mean, variance: count < 2 ? 0 : squares / (count - 1) }
}

/**
 * `(value − mean) / sqrt(variance + epsilon)` over all trained tokens of all answers; 0 at the other tokens.
 * @param options.shiftMean false keeps the mean, as for rewards (default: true)
 * @source Ziegler et al. 2019, arXiv:1909.08593; the variance has Bessel's correction, as in TRL
 */
export const whiten = (
  values: readonly TokenValues[],
  masks: readonly ArrayLike<number>[],
  options: { shiftMean?: boolean; epsilon?: number } = {},
): Float32Array[] => {
  const { shiftMean = true, epsilon = 1e-8 } = options
  const { mean, variance } = maskedMoments(values, masks)
  const scale = 1 / Math.sqrt(variance + epsilon)
  const kept = shiftMean ? 0 : mean
  return values.map((own, i) =>
    Float32Array.from(masks[i], (trained, t) => (trained === 0 ? 0 : (own[t] - mean) * scale + kept)),
  )
}

/**
 * Share of the variance of the returns that the values explain, over all trained tokens: `1 − Var(R − V) / Var(R)`. 1 is
 * a perfect critic, 0 one that knows only the mean; NaN where the returns do not vary.
 */
export const explainedVariance = (
  returns: readonly TokenValues[],
  values: readonly TokenValues[],
  masks: readonly ArrayLike<number>[],
): number => {
  const errors = returns.map((own, i) => Float64Array.from(masks[i], (_, t) => own[t] - values[i][t]))
  const total = maskedMoments(returns, masks).variance
  return total === 0 ? Number.NaN : 1 - maskedMoments(errors, masks).variance / total
}
