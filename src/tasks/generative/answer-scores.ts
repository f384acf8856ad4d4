// Scores of generated answers: metrics of their texts, the perplexity of the reference answers, and the share that ended by itself.
// Records without one of these still count for the others.

import { textScoreNames } from '../metrics/index.ts'
import type { ScoredUnits, Scores } from '../metrics/scored-units.ts'
import { scoreTexts } from '../metrics/text-scores.ts'
import type { AnswerLoss, TaskPrediction } from '../task.ts'

/** `answer` is undefined where none was generated; the other fields where they are unknown, as in predictions of other programs. */
export interface GeneratedPrediction extends TaskPrediction {
  answer?: string
  /** Whether the answer ended with an end token. */
  ended?: boolean
  /** Cross entropy of the reference answer in nats, summed over its tokens. */
  nats?: number
  tokens?: number
}

/** A prediction with the fields that are known. */
export const generatedPrediction = (
  id: string,
  answer: string | undefined,
  ended: boolean | undefined,
  loss: AnswerLoss | undefined,
): GeneratedPrediction => ({
  id,
  ...(answer === undefined ? {} : { answer }),
  ...(ended === undefined ? {} : { ended }),
  ...(loss === undefined ? {} : { nats: Math.round(loss.nats * 1e4) / 1e4, tokens: loss.tokens }),
})

export interface AnswerScoresOptions {
  metrics: readonly string[]
  stemming: boolean
}

/** Names of the scores of generated answers. */
export const answerScoreNames = (metrics: readonly string[]): string[] => [
  ...textScoreNames(metrics),
  'perplexity',
  'ended',
]

/** Scores of predictions against references, both in the order of the records. */
export const scoreAnswers = (
  references: readonly (readonly string[])[],
  predictions: readonly GeneratedPrediction[],
  { metrics, stemming }: AnswerScoresOptions,
): ScoredUnits => {
  const answered = predictions.flatMap(({ answer }, i) => (answer === undefined ? [] : [i]))
  const texts =
    answered.length === 0 || metrics.length === 0
      ? undefined
      : scoreTexts(
          answered.map((i) => ({ prediction: predictions[i].answer ?? '', references: references[i] })),
          { metrics, stemming },
        )
  const hasLoss = predictions.some(({ nats }) => nats !== undefined)
  const hasEnd = predictions.some(({ ended }) => ended !== undefined)
  return {
    units: predictions.length,
    scores(counts) {
      const sums = { nats: 0, tokens: 0, ended: 0, ends: 0 }
      predictions.forEach(({ nats, tokens, ended }, i) => {
        const count = counts === undefined ? 1 : counts[i]
        if (nats !== undefined && tokens !== undefined) {
          sums.nats += count * nats
          sums.tokens += count * tokens
        }
        if (ended !== undefined) {
          sums.ended += ended ? count : 0
          sums.ends += count
        }
      })
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
      ...(hasLoss ? { answerTokens: predictions.reduce((sum, { tokens = 0 }) => sum + tokens, 0) } : {}),
    }),
  }
}
