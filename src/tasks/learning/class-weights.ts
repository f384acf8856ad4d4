// How much each class counts in the loss. Knows no task.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../../core/index.ts'

export const classWeightsField = z
  .union([z.enum(['none', 'balanced']), z.record(z.string(), z.number().positive())])
  .default('none')
  .describe('of the loss: balanced counts rare classes more, so that all count the same in total; or label=weight')
export type ClassWeights = z.output<typeof classWeightsField>

/** scikit-learn's: as if each class had the same number of records. 1 for a class without any. */
export const balanceClasses = (counts: Float64Array): Float32Array => {
  const total = counts.reduce((sum, count) => sum + count, 0)
  return Float32Array.from(counts, (count) => (count === 0 ? 1 : total / (counts.length * count)))
}

/** Of labels that each are a yes or a no: what makes both weigh the same. 1 for a label without a yes or without a no. */
export const balanceLabels = (counts: Float64Array, records: number): Float32Array =>
  Float32Array.from(counts, (count) => (count === 0 || count === records ? 1 : (records - count) / count))

/** A weight for each label, or undefined where all are the same; `balance` is undefined where nothing is trained. */
export const weightsOf = (
  weights: ClassWeights,
  labels: readonly string[],
  balance: (() => Float32Array) | undefined,
): Float32Array | undefined => {
  if (weights === 'none') return undefined
  if (weights === 'balanced') return balance?.()
  const unknown = Object.keys(weights).find((label) => !labels.includes(label))
  if (unknown !== undefined)
    throw new ConfigError(
      `Expected labels for \`classWeights\` (${labels.join(', ')}), got "${unknown}".${didYouMean(unknown, labels)}`,
    )
  return Float32Array.from(labels, (label) => weights[label] ?? 1)
}
