// Splits a global batch into parts that go through the model one after another. Knows no model.

/** Indices of examples by part, every part below `maxTokens` unless one example alone is larger. Padded parts count their padding. */
export const planMicroBatches = (lengths: readonly number[], maxTokens: number, padded: boolean): number[][] => {
  // Alike lengths together, so that padding and the work of parts are even; stable, so that the plan is one.
  const order = lengths.map((_, i) => i)
  if (padded) order.sort((a, b) => lengths[b] - lengths[a] || a - b)
  const parts: number[][] = []
  let size = 0
  let longest = 0
  for (const i of order) {
    const open = parts.at(-1)
    const [wouldBeLongest, wouldBeTokens] = [Math.max(longest, lengths[i]), size + lengths[i]]
    const cost = padded ? wouldBeLongest * ((open?.length ?? 0) + 1) : wouldBeTokens
    if (open === undefined || cost > maxTokens) {
      parts.push([i])
      size = lengths[i]
      longest = lengths[i]
    } else {
      open.push(i)
      size = wouldBeTokens
      longest = wouldBeLongest
    }
  }
  return parts
}
