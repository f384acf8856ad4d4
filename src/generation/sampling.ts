// Choosing the next token of a row: the filters on a distribution, the draw, and the plain greedy choice. Rows are plain numbers,
// so a row's text does not depend on what else is in the batch.
import type { Random } from '../core/index.ts'
import type { GenerationSettings } from './options.ts'
import type { ScoreRule } from './score-rules.ts'

const hidden = Number.NEGATIVE_INFINITY

export const temperature =
  (value: number): ScoreRule =>
  (scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] /= value
  }

/** The k-th largest of some numbers. */
const kthLargest = (values: Float32Array, k: number): number => {
  // The k largest so far, as a heap with the smallest on top.
  const heap = new Float32Array(k).fill(hidden)
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

/** Keeps the k likeliest tokens, and those as likely as the last of them. */
export const topK =
  (k: number): ScoreRule =>
  (scores) => {
    if (k >= scores.length) return
    const lowest = kthLargest(scores, k)
    for (let i = 0; i < scores.length; i++) if (scores[i] < lowest) scores[i] = hidden
  }

const highest = (scores: Float32Array): number => {
  let top = hidden
  for (let i = 0; i < scores.length; i++) if (scores[i] > top) top = scores[i]
  return top
}

/** exp(score - highest) of each token, and their sum. */
const weightsOf = (scores: Float32Array): { weights: Float64Array; sum: number } => {
  const top = highest(scores)
  const weights = new Float64Array(scores.length)
  let sum = 0
  for (let i = 0; i < scores.length; i++)
    if (scores[i] !== hidden) {
      weights[i] = Math.exp(scores[i] - top)
      sum += weights[i]
    }
  return { weights, sum }
}

/** Keeps the likeliest tokens whose probabilities together reach p; at least one. @source arXiv:1904.09751 */
export const topP =
  (p: number): ScoreRule =>
  (scores) => {
    const { weights, sum } = weightsOf(scores)
    const rest = (1 - p) * sum
    // Tokens so unlikely that all of them together stay within the rest are out without sorting.
    const floor = rest / scores.length
    const order: number[] = []
    let below = 0
    for (let i = 0; i < scores.length; i++) {
      if (weights[i] > floor) order.push(i)
      else {
        below += weights[i]
        scores[i] = hidden
      }
    }
    order.sort((a, b) => weights[a] - weights[b])
    for (let i = 0; i + 1 < order.length; i++) {
      below += weights[order[i]]
      if (below > rest) break
      scores[order[i]] = hidden
    }
  }

/** Keeps tokens at least `share` as likely as the likeliest. @source arXiv:2407.01082 */
export const minP =
  (share: number): ScoreRule =>
  (scores) => {
    const lowest = highest(scores) + Math.log(share)
    for (let i = 0; i < scores.length; i++) if (scores[i] < lowest) scores[i] = hidden
  }

/** The filters that settings ask for, in the order that transformers applies them. */
export const samplingRules = (settings: GenerationSettings): ScoreRule[] => {
  const rules: ScoreRule[] = []
  if (settings.temperature !== 1) rules.push(temperature(settings.temperature))
  if (settings.topK > 0) rules.push(topK(settings.topK))
  if (settings.topP < 1) rules.push(topP(settings.topP))
  if (settings.minP > 0) rules.push(minP(settings.minP))
  return rules
}

/** Draws a token by its probability. */
export const draw = (scores: Float32Array, random: Random): number => {
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

/** The likeliest token; the first of equals. */
export const likeliest = (scores: Float32Array): number => {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i
  return best
}
