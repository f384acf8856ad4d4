// Log-probabilities of the answers of records under a model, beside those under a base, as the scores of preferences take them.
import { type ScoreCompletionsOptions, scoreCompletions } from '../../alignment/index.ts'
import type { Model } from '../../models/index.ts'
import type { TaskExample } from '../../tasks/index.ts'
import type { AlignmentData } from './data.ts'
import type { EncodedAnswers } from './encode-answers.ts'
import type { AlignmentPrediction, ScoredCompletion } from './scores.ts'

/** The sum over the tokens of a completion, in nats. */
export type AnswerSum = Omit<ScoredCompletion, 'base'>

/** Sums of the log-probabilities of all completions of the examples, in their order. */
export const sumAnswers = async (
  model: Model,
  data: AlignmentData,
  examples: readonly TaskExample[],
  options: ScoreCompletionsOptions,
): Promise<AnswerSum[]> => {
  const completions = examples.flatMap((example) => data.completions(example))
  const scores = await scoreCompletions(model, completions, options)
  return scores.map(({ logProbs }) => ({
    logProb: logProbs.reduce((sum, value) => sum + value, 0),
    tokens: logProbs.length,
  }))
}

/** The lines of predictions.jsonl, from the sums under a model and under the base. */
export const predictionsOf = (
  data: AlignmentData,
  { records, examples }: EncodedAnswers,
  policy: readonly AnswerSum[],
  base: readonly AnswerSum[] | undefined,
): AlignmentPrediction[] => {
  let at = 0
  return examples.map((example, i) => ({
    id: records[i].id,
    completions: data.completions(example).map((): ScoredCompletion => {
      const own = { ...policy[at], ...(base === undefined ? {} : { base: base[at].logProb }) }
      at++
      return own
    }),
  }))
}
