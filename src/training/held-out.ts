// The objective's loss on text that is not trained on, the same examples every time.
import { setImmediate } from 'node:timers/promises'
import type { Model } from '../models/index.ts'
import { noGrad, scope } from '../tensor/index.ts'
import type { ExampleSource } from './example-stream.ts'
import type { Trainee } from './gradients.ts'
import { planMicroBatches } from './micro-batches.ts'

export interface HeldOutOptions {
  /** Examples to look at; all of one pass at most. */
  examples: number
  microTokens: number
  padded: boolean
  device?: string
  signal?: AbortSignal
}

const item = (value: number | { item(): number }) => (typeof value === 'number' ? value : value.item())

/** Means over the examples: `loss`, each term of it, and the objective's own metrics. Leaves the model in the mode it was in. */
export const evaluateHeldOut = async <Example>(
  { model, auxiliary, objective }: Trainee<Example>,
  stream: ExampleSource<Example>,
  options: HeldOutOptions,
): Promise<Record<string, number>> => {
  const count = Math.min(options.examples, stream.perEpoch)
  const examples = Array.from({ length: count }, (_, position) => stream.example(position).example)
  const padded = options.padded || !objective.unpadded
  const lengths = examples.map((example) => objective.tokens(example))
  const sums = new Map<string, { sum: number; weight: number; scale: number }>()
  const add = (name: string, sum: number, weight: number, scale: number) => {
    const before = sums.get(name) ?? { sum: 0, weight: 0, scale }
    sums.set(name, { sum: before.sum + sum, weight: before.weight + weight, scale })
  }
  const models = [model, auxiliary].filter((one): one is Model => one !== undefined)
  const modes = models.map(({ training }) => training)
  for (const one of models) one.eval()
  try {
    for (const part of planMicroBatches(lengths, options.microTokens, padded)) {
      await setImmediate()
      options.signal?.throwIfAborted()
      noGrad(() =>
        scope(() => {
          const batch = objective.collate(
            part.map((i) => examples[i]),
            { padded, device: options.device },
          )
          const { terms, metrics } = objective.loss(model, batch, { metrics: true, auxiliary })
          for (const { name, sum, weight, scale } of terms) add(`term ${name}`, sum.item(), weight, scale)
          for (const [name, { sum, weight }] of Object.entries(metrics)) add(name, item(sum), weight, 0)
        }),
      )
    }
  } finally {
    models.forEach((one, i) => {
      if (modes[i]) one.train()
    })
  }
  const result: Record<string, number> = { loss: 0 }
  for (const [name, { sum, weight, scale }] of sums) {
    const mean = weight > 0 ? sum / weight : Number.NaN
    result[name.replace(/^term /, '')] = mean
    if (scale !== 0 && weight > 0) result.loss += scale * mean
  }
  return result
}
