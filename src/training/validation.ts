// The objective's loss on validation data: the same examples in every evaluation.
import { setImmediate } from 'node:timers/promises'
import { planMicroBatches } from '../data/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import type { Model } from '../models/index.ts'
import { joinMetrics, type Metric, mustPad } from '../objectives/index.ts'
import { isOutOfMemory, noGradScope } from '../tensor/index.ts'
import { assignRows } from './data-parallel.ts'
import type { ExampleSource } from './example-stream.ts'
import type { TrainableModel } from './gradients.ts'
import { shareOf } from './training-run.ts'

/** How validation examples are evaluated. */
export interface ValidationOptions {
  /** Number of examples, at most one epoch. */
  examples: number
  microTokens: number
  padded: boolean
  device?: string
  /** The processes that divide the examples; all get the same metrics. */
  group?: ProcessGroup
}

const item = (value: number | { item(): number }) => (typeof value === 'number' ? value : value.item())

/** Completes the examples as one global batch. With less memory than that needs, its forward passes are halved. */
const prepared = async <Example>(
  { model, objective }: Pick<TrainableModel<Example>, 'model' | 'objective'>,
  examples: readonly Example[],
  { microTokens, padded, device, group }: Omit<ValidationOptions, 'examples'>,
): Promise<readonly Example[]> => {
  if (objective.prepare === undefined) return examples
  const context = { model, padded, device, step: 0, position: 0, seed: 0, evaluation: true, ...shareOf(group) }
  for (let most = microTokens; ; most = Math.floor(most / 2)) {
    try {
      return await objective.prepare(examples, { ...context, microTokens: most })
    } catch (error) {
      if (!isOutOfMemory(error) || most < 2) throw error
    }
  }
}

/** Means over the examples: `loss`, each of its terms, and the objective's metrics. The model stays in its mode. */
export const evaluateValidation = async <Example>(
  { model, auxiliary, objective }: TrainableModel<Example>,
  stream: ExampleSource<Example>,
  options: ValidationOptions,
): Promise<Record<string, number>> => {
  const count = Math.min(options.examples, stream.perEpoch)
  const padded = options.padded || mustPad(objective, model)
  const examples = await prepared(
    { model, objective },
    Array.from({ length: count }, (_, position) => stream.example(position).example),
    { ...options, padded },
  )
  const { group } = options
  const tokens = examples.map((example) => objective.tokens(example))
  const rows = group === undefined ? [...examples.keys()] : assignRows(tokens, group.size)[group.rank]
  const sums: Sums = new Map()
  const measure = (part: readonly number[]) =>
    noGradScope(() => {
      const batch = objective.collate(
        part.map((i) => examples[rows[i]]),
        { padded, device: options.device },
      )
      const { terms, metrics } = objective.loss(model, batch, { metrics: true, auxiliary })
      // All values are read before any is added, as a micro-batch that runs out of memory is split and computed again.
      const sumsOfTerms = terms.map(({ sum }) => sum.item())
      const sumsOfMetrics = Object.values(metrics).map(({ sum }) => item(sum))
      for (const [i, { name, weight, scale }] of terms.entries())
        add(sums, `term ${name}`, { sum: sumsOfTerms[i], weight, scale })
      for (const [i, [name, metric]] of Object.entries(metrics).entries())
        add(sums, name, { ...metric, sum: sumsOfMetrics[i], scale: 0 })
    })
  const models = [model, auxiliary].filter((one): one is Model => one !== undefined)
  const modes = models.map(({ training }) => training)
  for (const one of models) one.eval()
  try {
    const lengths = rows.map((row) => tokens[row])
    const parts = planMicroBatches(lengths, options.microTokens, padded)
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      await setImmediate()
      try {
        measure(part)
      } catch (error) {
        if (!isOutOfMemory(error) || part.length < 2) throw error
        const half = Math.ceil(part.length / 2)
        parts.unshift(part.slice(0, half), part.slice(half))
      }
    }
  } finally {
    models.forEach((one, i) => {
      if (modes[i]) one.train()
    })
  }
  return meansOf(group === undefined ? sums : addAll(await group.gather([...sums])))
}

/** A sum and its weight by name, and the factor in the loss; 0 for what is no term of it. */
interface Sum extends Metric<number> {
  scale: number
}
type Sums = Map<string, Sum>

const add = (sums: Sums, name: string, own: Sum) => sums.set(name, joinMetrics(sums.get(name), own))

const addAll = (parts: readonly (readonly [string, Sum])[][]): Sums => {
  const sums: Sums = new Map()
  for (const [name, one] of parts.flat()) add(sums, name, one)
  return sums
}

const meansOf = (sums: Sums): Record<string, number> => {
  const result: Record<string, number> = { loss: Number.NaN }
  const counted: number[] = []
  for (const [name, { sum, weight, scale }] of sums) {
    const mean = weight > 0 ? sum / weight : Number.NaN
    result[name.replace(/^term /, '')] = mean
    if (scale !== 0 && weight > 0) counted.push(scale * mean)
  }
  if (counted.length > 0) result.loss = counted.reduce((total, part) => total + part, 0)
  return result
}
