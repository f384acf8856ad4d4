// Splits a global batch into micro-batches. Independent of the model.

/** Indices of examples by micro-batch, each of at most `maxTokens` unless one example is larger. Padding counts if they are padded. */
export const planMicroBatches = (lengths: readonly number[], maxTokens: number, padded: boolean): number[][] => {
  // Similar lengths together, for little padding; a stable order, for the same plan every time.
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
