// Scores of generated answers: metrics of their texts, the perplexity of the reference answers, and the share that ended by itself.
// Records without one of these still count for the others.

import { textScoreNames } from '../metrics/index.ts'
import { GrowingList, type ScoredUnits, type Scores } from '../metrics/scored-units.ts'
import { TextScores } from '../metrics/text-scores.ts'
import type { TaskPrediction } from '../task.ts'

/** `answer` is undefined where none was generated; the other fields where they are unknown, as in predictions of other programs. */
export interface GeneratedPrediction extends TaskPrediction {
  answer?: string
  /** Whether the answer ended with an end token. */
  ended?: boolean
  /** Cross entropy of the reference answer in nats, summed over its tokens. */
  nats?: number
  tokens?: number
}

export const answerScoreNames = (metrics: readonly string[]): string[] => [
  ...textScoreNames(metrics),
  'perplexity',
  'ended',
]

export class AnswerScorer {
  readonly #texts: TextScores | undefined
  /** Number of each answered prediction among all. */
  readonly #answered = new GrowingList()
  /** Cross entropies and their tokens, and whether answers ended by themselves; NaN where one is not known. */
  readonly #nats = new GrowingList()
  readonly #tokens = new GrowingList()
  readonly #ended = new GrowingList()
  #hasLoss = false
  #isEmpty = true

  constructor({ metrics, stemming }: { metrics: readonly string[]; stemming: boolean }) {
    this.#texts = metrics.length === 0 ? undefined : new TextScores({ metrics, stemming })
  }

  add(references: readonly string[], { answer, ended, nats, tokens }: GeneratedPrediction): void {
    if (answer !== undefined) {
      this.#answered.push(this.#nats.length)
      this.#texts?.add({ prediction: answer, references })
      if (answer !== '') this.#isEmpty = false
    }
    if (nats !== undefined) this.#hasLoss = true
    this.#nats.push(nats ?? Number.NaN)
    this.#tokens.push(tokens ?? Number.NaN)
    this.#ended.push(ended === undefined ? Number.NaN : Number(ended))
  }

  units(): ScoredUnits {
    const [answered, nats, tokens, ended] = [this.#answered, this.#nats, this.#tokens, this.#ended].map((list) =>
      list.values(),
    )
    const texts = answered.length === 0 ? undefined : this.#texts
    const hasLoss = this.#hasLoss
    const hasEnd = ended.some((one) => !Number.isNaN(one))
    return {
      units: nats.length,
      scores(counts) {
        const sums = { nats: 0, tokens: 0, ended: 0, ends: 0 }
        for (let i = 0; i < nats.length; i++) {
          const count = counts === undefined ? 1 : counts[i]
          if (!Number.isNaN(nats[i]) && !Number.isNaN(tokens[i])) {
            sums.nats += count * nats[i]
            sums.tokens += count * tokens[i]
          }
          if (!Number.isNaN(ended[i])) {
            sums.ended += count * ended[i]
            sums.ends += count
          }
        }
        const scores: Scores = {
          ...texts?.scores(counts === undefined ? undefined : Float64Array.from(answered, (i) => counts[i])),
        }
        if (hasLoss) scores.perplexity = Math.exp(sums.nats / sums.tokens)
        if (hasEnd) scores.ended = sums.ended / sums.ends
        return scores
      },
      details: () => ({
        ...texts?.details(),
        answers: answered.length,
        ...(hasLoss ? { answerTokens: tokens.reduce((sum, own) => sum + (Number.isNaN(own) ? 0 : own), 0) } : {}),
      }),
    }
  }

  warnings(): string[] {
    const answered = this.#answered.values()
    if (answered.length < 2) return []
    // An adapter leaves the embeddings as they are, so a token that the base never saw stays as it was initialised.
    const remedy =
      'If its end token is new to the base and the variant freezes the embeddings, as lora does, the model cannot learn it: name it in `adapter.tokens`, or choose a `template` with a token that the base knows.'
    if (this.#isEmpty) return [`Every generated answer is empty. ${remedy}`]
    const ended = this.#ended.values()
    const isCut = answered.every((i) => ended[i] === 0)
    return isCut ? [`No generated answer ends by itself: each is cut at \`maxNewTokens\`. ${remedy}`] : []
  }
}
