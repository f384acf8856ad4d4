// Weights of the classes in the loss.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../../core/index.ts'

export const classWeightsField = z
  .union([z.enum(['none', 'balanced']), z.record(z.string(), z.number().positive())])
  .default('none')
  .describe('class weights of the loss: none, balanced (inverse frequency) or label=weight')
export type ClassWeights = z.output<typeof classWeightsField>

/** scikit-learn's balanced weights, total / (classes * count); 1 for a class without records. */
export const balanceClasses = (counts: Float64Array): Float32Array => {
  const total = counts.reduce((sum, count) => sum + count, 0)
  return Float32Array.from(counts, (count) => (count === 0 ? 1 : total / (counts.length * count)))
}

/** Weights of the positives of each label that balance them with its negatives; 1 for a label with only one of both. */
export const balanceLabels = (counts: Float64Array, records: number): Float32Array =>
  Float32Array.from(counts, (count) => (count === 0 || count === records ? 1 : (records - count) / count))

/** A weight for each label, or undefined without weights; `balance` is undefined outside training. */
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
      `Expected labels of the task for \`classWeights\` (${labels.join(', ')}), got "${unknown}".${didYouMean(unknown, labels)}`,
    )
  return Float32Array.from(labels, (label) => weights[label] ?? 1)
}
