// Examples in batches by tokens: alike lengths together, so that little goes into padding. Knows no task.
import type { Model } from '../../models/index.ts'
import { type Criterion, positionsIn } from '../../objectives/index.ts'

export interface RecordExample<Example> {
  example: Example
  /** Number of its record. */
  record: number
}

/** Cuts lengths that rise into batches, each as full as may be; one that is too long is a batch of its own. */
export function* batchesByTokens(
  lengths: readonly number[],
  most: number,
  padded: boolean,
): Generator<[number, number], void> {
  let from = 0
  let sum = 0
  for (let i = 0; i < lengths.length; i++) {
    const size = padded ? lengths[i] * (i - from + 1) : sum + lengths[i]
    if (i > from && size > most) {
      yield [from, i]
      from = i
      sum = 0
    }
    sum += lengths[i]
  }
  if (lengths.length > from) yield [from, lengths.length]
}

/** Numbers of items from short to long, and their lengths. */
export const byLength = <Item>(
  items: readonly Item[],
  tokens: (item: Item) => number,
): { order: number[]; lengths: number[] } => {
  const all = items.map(tokens)
  const order = Array.from(items.keys()).sort((a, b) => all[a] - all[b] || a - b)
  return { order, lengths: order.map((i) => all[i]) }
}

/** Batches of examples, as numbers of items. */
export const exampleBatches = <Example>(
  items: readonly RecordExample<Example>[],
  learner: Pick<Criterion<Example>, 'tokens'>,
  model: Pick<Model, 'body'>,
  batchTokens: number,
  padded: boolean,
): { batches: number[][]; tokens: number } => {
  const positions = positionsIn(learner, model)
  const { order, lengths } = byLength(items, ({ example }) => positions(example))
  const batches = [...batchesByTokens(lengths, batchTokens, padded)].map(([from, to]) => order.slice(from, to))
  return { batches, tokens: items.reduce((sum, { example }) => sum + learner.tokens(example), 0) }
}
