// The choice of the next token of each row, from logits: greedy or by the row's own random stream, with the
// log-probability of the choice.
import { ConfigError } from '../core/index.ts'
import { noGrad, chooseTokens as sampleTokens, Tensor } from '../tensor/index.ts'
import type { GrowingText } from './growing-text.ts'
import { type LogitsProcessor, logitsProcessors } from './logits-processors.ts'
import type { GenerationSettings } from './options.ts'
import { mostLikelyToken, sampleToken, samplingProcessors } from './sampling.ts'

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
  readonly #temperature: number | undefined
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
    if (!truncating) this.#temperature = sample ? settings.temperature : 0
    if (logProbs === 'model' && truncating)
      throw new ConfigError(
        '`logProbs` of the model need sampling by temperature only: tokens are sampled from another distribution with top-k, top-p, min-p or penalties. Set `logProbs` to processed, or remove those settings.',
      )
  }

  /** Temperature of the choice, where it needs nothing else; 0 for the most likely token. */
  get temperature(): number | undefined {
    return this.#temperature
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
