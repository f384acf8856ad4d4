// How good written answers are: the metrics of their texts, what right answers cost the model, and whether it stopped by itself. Records
// that lack one of these count for the others. Knows no task.

import { textScoreNames } from '../metrics/index.ts'
import type { ScoredUnits, Scores } from '../metrics/scored-units.ts'
import { scoreTexts } from '../metrics/text-scores.ts'
import type { AnswerLoss, TaskPrediction } from '../task.ts'

/** `answer` is missing where none was written; the rest where nobody knows it, as in other people's predictions. */
export interface GeneratedPrediction extends TaskPrediction {
  answer?: string
  /** Whether the model stopped by itself. */
  ended?: boolean
  /** Of the right answer: cross entropy in nats, summed over its tokens. */
  nats?: number
  tokens?: number
}

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

export const scoreAnswers = (
  references: readonly (readonly string[])[],
  predictions: readonly GeneratedPrediction[],
  { metrics, stemming }: AnswerScoresOptions,
): ScoredUnits => {
  const written = predictions.flatMap(({ answer }, i) => (answer === undefined ? [] : [i]))
  const texts =
    written.length === 0 || metrics.length === 0
      ? undefined
      : scoreTexts(
          written.map((i) => ({ prediction: predictions[i].answer ?? '', references: references[i] })),
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
        ...texts?.scores(counts === undefined ? undefined : Float64Array.from(written, (i) => counts[i])),
      }
      if (hasLoss) scores.perplexity = Math.exp(sums.nats / sums.tokens)
      if (hasEnd) scores.ended = sums.ended / sums.ends
      return scores
    },
    details: () => ({
      ...texts?.details(),
      answers: written.length,
      ...(hasLoss ? { answerTokens: predictions.reduce((sum, { tokens = 0 }) => sum + tokens, 0) } : {}),
    }),
  }
}
