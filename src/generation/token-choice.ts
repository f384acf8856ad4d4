// The choice of the next token of each row, from logits: greedy or by the row's own random stream, with the
// log-probability of the choice.
import { ConfigError } from '../core/index.ts'
import { logitLogProbs, noGrad, scope, Tensor } from '../tensor/index.ts'
import type { GrowingText } from './growing-text.ts'
import { type LogitsProcessor, logitsProcessors } from './logits-processors.ts'
import type { GenerationSettings } from './options.ts'
import { mostLikelyToken, sampleToken, samplingProcessors } from './sampling.ts'

/**
 * Which log-probabilities of the generated tokens to return: `model` those of the model's distribution at the sampling
 * temperature, `processed` those of the distribution that is left after all filters and penalties.
 */
export type LogProbKind = 'model' | 'processed'

/** A token that was chosen. */
export interface TokenChoice {
  id: number
  logProb?: number
}

/** Rows of [B,V], copied to JavaScript. */
export const rowsOf = (logits: Tensor): Float32Array[] => {
  const [rows, width] = logits.shape
  const all = logits.toFloat32Array()
  return Array.from({ length: rows }, (_, r) => all.subarray(r * width, (r + 1) * width))
}

/** Log-probability of a token by a row of logits. */
const logProbOf = (scores: Float32Array, id: number): number => {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) if (scores[i] > top) top = scores[i]
  let sum = 0
  for (let i = 0; i < scores.length; i++) sum += Math.exp(scores[i] - top)
  return Math.fround(scores[id] - top - Math.log(sum))
}

/** Chooses the tokens of texts with the same settings. */
export class TokenChooser {
  readonly #penalties: readonly LogitsProcessor[]
  readonly #filters: readonly LogitsProcessor[]
  readonly #sample: boolean
  /** Which log-probabilities to return. */
  readonly logProbs: LogProbKind | undefined
  /** Divides the logits before sampling. */
  readonly temperature: number

  /** @throws ConfigError for log-probabilities of the model beside settings that change the distribution */
  constructor(settings: GenerationSettings, logProbs?: LogProbKind) {
    const { sample } = settings
    this.#sample = sample
    this.#penalties = logitsProcessors(settings)
    this.#filters = sample ? samplingProcessors(settings) : []
    this.logProbs = logProbs
    this.temperature = sample ? settings.temperature : 1
    const heated = sample && settings.temperature !== 1 ? 1 : 0
    const truncating = this.#penalties.length > 0 || this.#filters.length > heated
    if (logProbs === 'model' && truncating)
      throw new ConfigError(
        '`logProbs` of the model need sampling by temperature only: tokens are sampled from another distribution with top-k, top-p, min-p or penalties. Set `logProbs` to processed, or remove those settings.',
      )
  }

  /** Whether the most likely token is enough, which needs no copy of the logits. */
  get isArgmax(): boolean {
    return !this.#sample && this.#penalties.length === 0 && this.logProbs === undefined
  }

  /**
   * The next token, with its log-probability if that is of the processed distribution.
   * @param scores logits of the row, which are changed
   */
  choose(scores: Float32Array, { seen, ids, random }: Pick<GrowingText, 'seen' | 'ids' | 'random'>): TokenChoice {
    for (const process of this.#penalties) process(scores, { ids: seen, newTokens: ids.length })
    for (const process of this.#filters) process(scores, { ids: seen, newTokens: ids.length })
    const id = random === undefined ? mostLikelyToken(scores) : sampleToken(scores, random)
    return this.logProbs === 'processed' ? { id, logProb: logProbOf(scores, id) } : { id }
  }
}

/** A text and how its tokens are chosen. */
export interface ChoosingText {
  text: GrowingText
  chooser: TokenChooser
}

/** The next token of each text. @param logits float32 [B,V] */
export const chooseTokens = (logits: Tensor, texts: readonly ChoosingText[]): TokenChoice[] => {
  if (texts.every(({ chooser }) => chooser.isArgmax))
    return Array.from(logits.argmax(-1).toTypedArray() as BigInt64Array, (id) => ({ id: Number(id) }))
  const choices = rowsOf(logits).map((row, i) => texts[i].chooser.choose(row, texts[i].text))
  addModelLogProbs(logits, texts, choices)
  return choices
}

/** Adds log-probabilities of the model, by the operator that training uses too, so that both give the same bits. */
const addModelLogProbs = (logits: Tensor, texts: readonly ChoosingText[], choices: TokenChoice[]): void => {
  const rows = texts.flatMap(({ chooser }, row) => (chooser.logProbs === 'model' ? [row] : []))
  for (const temperature of new Set(rows.map((row) => texts[row].chooser.temperature)))
    scope(() =>
      noGrad(() => {
        const own = rows.filter((row) => texts[row].chooser.temperature === temperature)
        const index = Tensor.from(BigInt64Array.from(own, BigInt))
        const targets = Tensor.from(BigInt64Array.from(own, (row) => BigInt(choices[row].id)))
        const wanted = own.length === texts.length ? logits : logits.indexSelect(0, index)
        const values = logitLogProbs(wanted, targets, { temperature })[0].toFloat32Array()
        own.forEach((row, i) => {
          choices[row].logProb = values[i]
        })
      }),
    )
}
