// Sampling of the next token: temperature, top-k, top-p and min-p filters, the random choice, and the greedy choice.
// Works on one row of plain numbers, so that a text does not depend on the rest of the batch.
import type { Random } from '../core/index.ts'
import type { LogitsProcessor } from './logits-processors.ts'
import type { GenerationSettings } from './options.ts'

/** Logit of a token that cannot be sampled. */
const excluded = Number.NEGATIVE_INFINITY

/** Divides the logits by the temperature. */
const temperature =
  (value: number): LogitsProcessor =>
  (scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] /= value
  }

/** The k-th largest value. */
const kthLargest = (values: Float32Array, k: number): number => {
  // A min-heap of the k largest values so far.
  const heap = new Float32Array(k).fill(excluded)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (!(value > heap[0])) continue
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= k) break
      if (child + 1 < k && heap[child + 1] < heap[child]) child++
      if (!(heap[child] < value)) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = value
  }
  return heap[0]
}

/** Keeps the k most likely tokens, and those as likely as the last of them. */
const topK =
  (k: number): LogitsProcessor =>
  (scores) => {
    if (k >= scores.length) return
    const lowest = kthLargest(scores, k)
    for (let i = 0; i < scores.length; i++) if (scores[i] < lowest) scores[i] = excluded
  }

const highest = (scores: Float32Array): number => {
  let top = excluded
  for (let i = 0; i < scores.length; i++) if (scores[i] > top) top = scores[i]
  return top
}

/** exp(logit − highest logit) of each token, and their sum. */
const weightsOf = (scores: Float32Array): { weights: Float64Array; sum: number } => {
  const top = highest(scores)
  const weights = new Float64Array(scores.length)
  let sum = 0
  for (let i = 0; i < scores.length; i++)
    if (scores[i] !== excluded) {
      weights[i] = Math.exp(scores[i] - top)
      sum += weights[i]
    }
  return { weights, sum }
}

/**
 * Nucleus sampling: keeps the most likely tokens whose probabilities sum to p, at least one.
 * @source arXiv:1904.09751
 */
const topP =
  (p: number): LogitsProcessor =>
  (scores) => {
    const { weights, sum } = weightsOf(scores)
    const rest = (1 - p) * sum
    // Tokens below rest / V sum to less than the rest even all together, and are excluded without sorting.
    const floor = rest / scores.length
    const order: number[] = []
    let below = 0
    for (let i = 0; i < scores.length; i++) {
      if (weights[i] > floor) order.push(i)
      else {
        below += weights[i]
        scores[i] = excluded
      }
    }
    order.sort((a, b) => weights[a] - weights[b])
    for (let i = 0; i + 1 < order.length; i++) {
      below += weights[order[i]]
      if (below > rest) break
      scores[order[i]] = excluded
    }
  }

/** Keeps tokens at least `share` times as likely as the most likely one. @source arXiv:2407.01082 */
const minP =
  (share: number): LogitsProcessor =>
  (scores) => {
    const lowest = highest(scores) + Math.log(share)
    for (let i = 0; i < scores.length; i++) if (scores[i] < lowest) scores[i] = excluded
  }

/** The sampling filters of the settings, in the order of transformers. */
export const samplingProcessors = (settings: GenerationSettings): LogitsProcessor[] => {
  const processors: LogitsProcessor[] = []
  if (settings.temperature !== 1) processors.push(temperature(settings.temperature))
  if (settings.topK > 0) processors.push(topK(settings.topK))
  if (settings.topP < 1) processors.push(topP(settings.topP))
  if (settings.minP > 0) processors.push(minP(settings.minP))
  return processors
}

/** Samples a token by its probability. */
export const sampleToken = (scores: Float32Array, random: Pick<Random, 'float'>): number => {
  const { weights, sum } = weightsOf(scores)
  let left = random.float() * sum
  let last = 0
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue
    last = i
    left -= weights[i]
    if (left < 0) return i
  }
  return last
}

/** The token with the highest logit; the first of equal ones. */
export const mostLikelyToken = (scores: Float32Array): number => {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i
  return best
}
