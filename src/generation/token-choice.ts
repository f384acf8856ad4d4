// The choice of the next token of each row, from logits: greedy or by the row's own random stream, with the
// log-probability of the choice. Filters and sampling work on one row of plain numbers, so that a text does not depend on the rest of the batch.
import { ConfigError, type Random } from '../core/index.ts'
import { noGrad, chooseTokens as sampleTokens, Tensor } from '../tensor/index.ts'
import type { GrowingText } from './growing-text.ts'
import { type LogitsProcessor, logitsProcessors } from './logits-processors.ts'
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
const mostLikelyToken = (scores: Float32Array): number => {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i
  return best
}

/**
 * Which log-probabilities of the generated tokens to return: `model` those of the model's distribution at the sampling
 * temperature, `processed` those of the distribution that is left after all filters and penalties, `raw` those of the
 * model's distribution at temperature 1, before filters and penalties.
 */
export type LogProbKind = 'model' | 'processed' | 'raw'

/** A token with its log-probability. */
export interface RankedToken {
  id: number
  logProb: number
}

/** What a chooser does beside the settings of a request. */
export interface ChoiceOptions {
  logProbs?: LogProbKind
  /** Number of the most likely tokens to return for each choice, with `logProbs: 'raw'` (default: 0). */
  topLogProbs?: number
  /** Applied after the penalties of the settings. */
  processors?: readonly LogitsProcessor[]
}

/** A token that was chosen. */
export interface TokenChoice {
  id: number
  logProb?: number
  /** The most likely tokens, where they were asked for. */
  alternatives?: RankedToken[]
}

/** Rows of [B,V], copied to JavaScript. */
export const rowsOf = (logits: Tensor): Float32Array[] => {
  const [rows, width] = logits.shape
  const all = logits.toFloat32Array()
  return Array.from({ length: rows }, (_, r) => all.subarray(r * width, (r + 1) * width))
}

/** What is subtracted from a logit for its log-probability. */
const logSum = (scores: Float32Array): number => {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) if (scores[i] > top) top = scores[i]
  let sum = 0
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i] - top)
  return top + Math.log(sum)
}

/** Log-probability of a token by a row of logits. */
const logProbOf = (scores: Float32Array, id: number): number => Math.fround(scores[id] - logSum(scores))

/** The log-probability of a token by a row of logits, and the `count` most likely tokens; of equal ones the first. */
export const rankTokens = (
  scores: Float32Array,
  id: number,
  count: number,
): { logProb: number; alternatives: RankedToken[] } => {
  const total = logSum(scores)
  const best: number[] = []
  if (count > 0)
    for (let i = 0; i < scores.length; i++) {
      if (best.length === count && !(scores[i] > scores[best[count - 1]])) continue
      let at = best.length
      while (at > 0 && scores[i] > scores[best[at - 1]]) at--
      best.splice(at, 0, i)
      if (best.length > count) best.pop()
    }
  return {
    logProb: Math.fround(scores[id] - total),
    alternatives: best.map((one) => ({ id: one, logProb: Math.fround(scores[one] - total) })),
  }
}

/** Chooses the tokens of texts with the same settings. */
export class TokenChooser {
  readonly #penalties: readonly LogitsProcessor[]
  readonly #filters: readonly LogitsProcessor[]
  /** Temperature of the choice, where it needs nothing else; 0 for the most likely token. */
  readonly temperature: number | undefined
  /** Which log-probabilities to return. */
  readonly logProbs: LogProbKind | undefined
  readonly topLogProbs: number

  /** @throws ConfigError for log-probabilities of the model beside settings that change the distribution */
  constructor(settings: GenerationSettings, { logProbs, topLogProbs = 0, processors = [] }: ChoiceOptions = {}) {
    const { sample } = settings
    this.#penalties = [...logitsProcessors(settings), ...processors]
    this.topLogProbs = topLogProbs
    this.#filters = sample ? samplingProcessors(settings) : []
    this.logProbs = logProbs
    const heated = sample && settings.temperature !== 1 ? 1 : 0
    const truncating = this.#penalties.length > 0 || this.#filters.length > heated
    if (!truncating) this.temperature = sample ? settings.temperature : 0
    if (logProbs === 'model' && truncating)
      throw new ConfigError(
        '`logProbs` of the model need sampling by temperature only: tokens are sampled from another distribution with top-k, top-p, min-p or penalties. Set `logProbs` to processed, or remove those settings.',
      )
  }

  /**
   * The next token, with its log-probability if that is of the processed distribution.
   * @param scores logits of the row, which are changed
   */
  choose(scores: Float32Array, text: Pick<GrowingText, 'seen' | 'ids' | 'draw'>): TokenChoice {
    const { seen, ids } = text
    for (const process of this.#penalties) process(scores, { ids: seen, newTokens: ids.length })
    for (const process of this.#filters) process(scores, { ids: seen, newTokens: ids.length })
    const drawn = text.draw()
    const id = drawn === undefined ? mostLikelyToken(scores) : sampleToken(scores, { float: () => drawn })
    return this.logProbs === 'processed' ? { id, logProb: logProbOf(scores, id) } : { id }
  }
}

/** A text and how its tokens are chosen. */
export interface ChoosingText {
  text: GrowingText
  chooser: TokenChooser
}

/** Some rows of a matrix on its device. */
export const rowsAt = (matrix: Tensor, rows: readonly number[]): Tensor =>
  matrix.indexSelect(0, Tensor.from(BigInt64Array.from(rows, BigInt), { device: matrix.device }))

const float64 = (values: readonly number[]) => Tensor.from(Float64Array.from(values))

/** The choices of texts that need a temperature and a random number only, from their rows of the logits. */
const chooseByTemperature = (logits: Tensor, texts: readonly ChoosingText[]): TokenChoice[] => {
  const temperatures = texts.map(({ chooser }) => chooser.temperature ?? 0)
  const uniforms = texts.map(({ text }) => text.draw() ?? 0)
  const logged = texts.some(({ chooser }) => chooser.logProbs !== undefined)
  const [ids, logProbs] = sampleTokens(logits, float64(temperatures), float64(uniforms), { logged })
  const chosen = ids.toTypedArray() as BigInt64Array
  const all = logged ? (logProbs.toTypedArray() as Float32Array) : undefined
  return texts.map(({ chooser }, i) => {
    const id = Number(chosen[i])
    return chooser.logProbs === undefined ? { id } : { id, logProb: all?.[i] }
  })
}

/** Log-probabilities before filters and penalties, for the texts that want them. */
const addRawLogProbs = (logits: Tensor, texts: readonly ChoosingText[], choices: TokenChoice[]): void => {
  const rows = texts.flatMap(({ chooser }, row) => (chooser.logProbs === 'raw' ? [row] : []))
  if (rows.length === 0) return
  const own = rowsAt(logits, rows)
  for (const [i, scores] of rowsOf(own).entries()) {
    const { topLogProbs } = texts[rows[i]].chooser
    const { id } = choices[rows[i]]
    const { logProb, alternatives } = rankTokens(scores, id, topLogProbs)
    choices[rows[i]] = { id, logProb, ...(topLogProbs === 0 ? {} : { alternatives }) }
  }
}

/** The next token of each text. @param logits float32 [B,V] */
export const chooseTokens = (logits: Tensor, texts: readonly ChoosingText[]): TokenChoice[] =>
  noGrad(() => {
    const plain = texts.flatMap(({ chooser }, row) => (chooser.temperature === undefined ? [] : [row]))
    if (plain.length === texts.length) {
      const all = chooseByTemperature(logits, texts)
      addRawLogProbs(logits, texts, all)
      return all
    }
    const choices: TokenChoice[] = []
    if (plain.length > 0) {
      const chosen = chooseByTemperature(
        rowsAt(logits, plain),
        plain.map((row) => texts[row]),
      )
      for (const [i, row] of plain.entries()) choices[row] = chosen[i]
    }
    const others = texts.flatMap(({ chooser }, row) => (chooser.temperature === undefined ? [row] : []))
    for (const [i, scores] of rowsOf(rowsAt(logits, others)).entries())
      choices[others[i]] = texts[others[i]].chooser.choose(scores, texts[others[i]].text)
    addRawLogProbs(logits, texts, choices)
    return choices
  })
