// One step of a preference objective on small data: prepare, micro-batches, loss, metrics and gradients, in any form of batch.
import type { Model } from '../../src/models/index.ts'
import type { CollateOptions, Criterion, PrepareContext } from '../../src/objectives/index.ts'
import { clearGrads, scope } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

/** How a step is computed. */
export interface StepForm extends Pick<CollateOptions, 'padded' | 'side' | 'multipleOf'> {
  /** Examples of a micro-batch (default: all). */
  micro?: number
  microTokens?: number
  context?: Partial<PrepareContext>
}

/** What a step gives. */
export interface StepResult {
  loss: number
  terms: Record<string, number>
  metrics: Record<string, number>
  gradients: Map<string, Float32Array>
}

/** The global batch as the training loop computes it. */
export const stepOf = async <Example>(
  criterion: Criterion<Example>,
  model: Model,
  examples: readonly Example[],
  { micro = examples.length, microTokens = 64, context, ...how }: StepForm,
): Promise<StepResult> => {
  const start = { model, microTokens, padded: how.padded, device: testDevice, step: 0, position: 0, seed: 0 }
  const prepared = (await criterion.prepare?.(examples, { ...start, ...context })) ?? examples
  const totals: Record<string, number> = {}
  for (const example of prepared)
    for (const [name, weight] of Object.entries(criterion.weights(example))) totals[name] = (totals[name] ?? 0) + weight
  const result: StepResult = { loss: 0, terms: {}, metrics: {}, gradients: new Map() }
  const sums: Record<string, { sum: number; weight: number }> = {}
  const parameters = [...model.parameters()].filter(([, { requiresGrad }]) => requiresGrad)
  clearGrads(parameters.map(([, parameter]) => parameter))
  for (let at = 0; at < prepared.length; at += micro)
    scope(() => {
      const { terms, metrics } = criterion.loss(
        model,
        criterion.collate(prepared.slice(at, at + micro), { ...how, device: testDevice }),
      )
      const shares = terms.map(({ name, sum, scale }) => {
        const value = sum.item() / totals[name]
        result.terms[name] = (result.terms[name] ?? 0) + value
        result.loss += scale * value
        return sum.mul(scale / totals[name])
      })
      for (const [name, { sum, weight }] of Object.entries(metrics)) {
        sums[name] ??= { sum: 0, weight: 0 }
        sums[name].sum += typeof sum === 'number' ? sum : sum.item()
        sums[name].weight += weight
      }
      shares.reduce((a, b) => a.add(b)).backward()
    })
  for (const [name, { sum, weight }] of Object.entries(sums)) result.metrics[name] = sum / weight
  for (const [path, { grad }] of parameters) if (grad !== undefined) result.gradients.set(path, grad.toFloat32Array())
  return result
}

/** Largest difference of two gradients, relative to the largest element of the second. */
export const gradientError = (a: StepResult['gradients'], b: StepResult['gradients']): number => {
  let [apart, most] = [0, 0]
  for (const [path, values] of b)
    for (const [i, value] of values.entries()) {
      apart = Math.max(apart, Math.abs((a.get(path)?.[i] ?? 0) - value))
      most = Math.max(most, Math.abs(value))
    }
  return apart / most
}
