// Predictions of extractive question answering models: the span of a context that answers each question.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { InferenceModel } from '../load.ts'
import { definePrediction, taskPredictionOptions } from './prediction.ts'
import { predictFields, spanTask, truncationNote } from './task-predictions.ts'

/** An answer to a question. */
export interface Answer {
  /** Empty when the context has no answer. */
  answer: string
  /** Probability that the context has no answer; extractive models trained on SQuAD 2.0 only. */
  noAnswerProbability?: number
  /** Further answers of an extractive model. */
  alternatives?: { answer: string; probability: number }[]
  /** Tokens of the question beyond `maxQuestionTokens`, which an extractive model did not read; absent for a whole question. */
  truncatedTokens?: number
}

/** The spans of contexts that answer questions. @throws ConfigError for a model of another task */
export const findAnswers = async (
  loaded: InferenceModel,
  questions: readonly { question: string; context?: string }[],
  options: { maxLength?: number; signal?: AbortSignal } = {},
): Promise<Answer[]> => {
  const inputs = questions.map((one) => ({ ...one }))
  const predictions = await predictFields(loaded, spanTask(), inputs, options)
  return predictions.map(({ prediction, truncatedTokens }) => {
    const { id: _, ...answer } = prediction
    // The fields of a span prediction; the registry gives every task as one type, without its own predictions.
    const found = answer as unknown as Answer
    return truncatedTokens === 0 ? found : { ...found, truncatedTokens }
  })
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

export const spanPrediction = definePrediction({
  options: z.strictObject({
    ...taskPredictionOptions,
    context: z
      .string()
      .optional()
      .describe('text that an extractive question answering model finds the answers in; each text is a question'),
  }),
  async predict(loaded, question, { context, ...options }): Promise<Answer & { question: string }> {
    if (context === undefined || context === '')
      throw new ConfigError('An extractive model needs `context`: set it to the text that holds the answers.')
    const [answer] = await findAnswers(loaded, [{ question, context }], options)
    return { question, ...answer }
  },
  render({ question, answer, noAnswerProbability, alternatives = [], truncatedTokens }: Answer & { question: string }) {
    const others = alternatives.map((one) => `${one.answer} ${percent(one.probability)}`)
    const none = noAnswerProbability === undefined ? [] : [`no answer ${percent(noAnswerProbability)}`]
    const more = [...none, ...others].join(', ')
    return `${question}\n  ${answer === '' ? 'no answer' : answer}${more === '' ? '' : ` (${more})`}${truncationNote('question', truncatedTokens)}`
  },
})
