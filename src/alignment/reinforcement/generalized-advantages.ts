// Generalised advantage estimation: advantages and returns of the tokens of one answer, from rewards and the critic's
// values. Plain numbers.
// @source Schulman et al. 2015, arXiv:1506.02438

/** Rewards, values and the mask of one answer, of equal length. */
export interface GaeInputs {
  rewards: ArrayLike<number>
  /** The critic's value of the text before each token. */
  values: ArrayLike<number>
  /** 0 for tokens that the model did not choose, such as the output of tools. */
  mask: ArrayLike<number>
}

/** Factors of generalised advantage estimation. */
export interface GaeFactors {
  /** Discount of later rewards, γ. */
  gamma: number
  /** Weight of later estimates, λ. */
  lambda: number
}

/**
 * `δ = r + γV' − V; A = δ + γλA'` from the last token to the first; the returns are `A + V`. A masked token has neither
 * an advantage nor a return: the next value and the next advantage pass over it, and its reward belongs to the token
 * before it, whose consequence it is.
 */
export const generalizedAdvantages = (
  { rewards, values, mask }: GaeInputs,
  { gamma, lambda }: GaeFactors,
): { advantages: Float64Array; returns: Float64Array } => {
  const count = mask.length
  const advantages = new Float64Array(count)
  const returns = new Float64Array(count)
  let [nextValue, nextAdvantage, passed] = [0, 0, 0]
  for (let t = count - 1; t >= 0; t--) {
    if (mask[t] === 0) {
      passed += rewards[t]
      continue
    }
    const delta = rewards[t] + passed + gamma * nextValue - values[t]
    nextAdvantage = delta + gamma * lambda * nextAdvantage
    nextValue = values[t]
    passed = 0
    advantages[t] = nextAdvantage
    returns[t] = nextAdvantage + values[t]
  }
  return { advantages, returns }
}

/** Discounted sums of the rewards from each token on, which a masked token passes over: `G = r + γG'`. */
export const discountedReturns = (rewards: ArrayLike<number>, mask: ArrayLike<number>, gamma: number): Float64Array => {
  const sums = new Float64Array(mask.length)
  let [next, passed] = [0, 0]
  for (let t = mask.length - 1; t >= 0; t--) {
    if (mask[t] === 0) {
      passed += rewards[t]
      continue
    }
    next = rewards[t] + passed + gamma * next
    passed = 0
    sums[t] = next
  }
  return sums
}
