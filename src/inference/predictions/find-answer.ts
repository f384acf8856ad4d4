// Predictions of extractive question answering models: the span of a context that answers each question.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { definePrediction, taskPredictionOptions } from './prediction.ts'
import { predictFields, spanTask } from './task-predictions.ts'

/** A span that was found, with further ones. */
interface FoundAnswer {
  question: string
  /** Empty where the context has no answer. */
  answer: string
  noAnswerProbability?: number
  alternatives?: { answer: string; probability: number }[]
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
  async predict(loaded, question, { context, ...options }): Promise<FoundAnswer> {
    if (context === undefined || context === '')
      throw new ConfigError('An extractive model needs `context`: set it to the text that holds the answers.')
    const [{ prediction }] = await predictFields(loaded, spanTask(), [{ question, context }], options)
    const { id: _, ...found } = prediction
    // The fields of a span prediction; the registry gives every task as one type.
    return { question, ...found } as unknown as FoundAnswer
  },
  render({ question, answer, noAnswerProbability, alternatives = [] }: FoundAnswer) {
    const others = alternatives.map((one) => `${one.answer} ${percent(one.probability)}`)
    const none = noAnswerProbability === undefined ? [] : [`no answer ${percent(noAnswerProbability)}`]
    const more = [...none, ...others].join(', ')
    return `${question}\n  ${answer === '' ? 'no answer' : answer}${more === '' ? '' : ` (${more})`}`
  },
})
