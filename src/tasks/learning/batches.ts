// Batches of examples by token count: similar lengths together, so that there is little padding.

import { ConfigError } from '../../core/index.ts'
import type { BodyFacts, Model } from '../../models/index.ts'
import { type Criterion, positionsIn } from '../../objectives/index.ts'
import { isOutOfMemory } from '../../tensor/index.ts'

export interface RecordExample<Example> {
  example: Example
  record: number
}

/** Ranges of ascending lengths with at most `maxTokens` tokens each; a longer item is a batch of its own. */
function* batchesByTokens(
  lengths: readonly number[],
  maxTokens: number,
  padded: boolean,
): Generator<[number, number], void> {
  let from = 0
  let sum = 0
  for (let i = 0; i < lengths.length; i++) {
    const size = padded ? lengths[i] * (i - from + 1) : sum + lengths[i]
    if (i > from && size > maxTokens) {
      yield [from, i]
      from = i
      sum = 0
    }
    sum += lengths[i]
  }
  if (lengths.length > from) yield [from, lengths.length]
}

/** Indices of the items from short to long, and their lengths. */
export const byLength = <Item>(
  items: readonly Item[],
  tokens: (item: Item) => number,
): { order: number[]; lengths: number[] } => {
  const all = items.map(tokens)
  const order = Array.from(items.keys()).sort((a, b) => all[a] - all[b] || a - b)
  return { order, lengths: order.map((i) => all[i]) }
}

/**
 * Results for the items of a batch. Where memory does not suffice for it, those of its halves.
 * @throws OutOfMemoryError where it does not suffice for one item
 */
export const computeOrHalve = <Item, Result>(
  batch: readonly Item[],
  compute: (part: readonly Item[]) => readonly Result[],
): readonly Result[] => {
  try {
    return compute(batch)
  } catch (error) {
    if (!isOutOfMemory(error) || batch.length < 2) throw error
  }
  const half = Math.ceil(batch.length / 2)
  return [batch.slice(0, half), batch.slice(half)].flatMap((part) => computeOrHalve(part, compute))
}

/** Batches of examples, as indices of items. */
export const exampleBatches = <Example>(
  items: readonly RecordExample<Example>[],
  criterion: Pick<Criterion<Example>, 'tokens'>,
  model: Pick<Model, 'body'>,
  batchTokens: number,
  padded: boolean,
): { batches: number[][]; tokens: number } => {
  const positions = positionsIn(criterion, model)
  const { order, lengths } = byLength(items, ({ example }) => positions(example))
  const batches = [...batchesByTokens(lengths, batchTokens, padded)].map(([from, to]) => order.slice(from, to))
  return { batches, tokens: items.reduce((sum, { example }) => sum + criterion.tokens(example), 0) }
}

/**
 * Checks `maxLength` against the model's positions.
 * @param virtualTokens positions that an adapter puts in front of every example
 * @throws ConfigError for more tokens than the model has positions
 */
export const expectPositions = (
  { maxPositions = Number.POSITIVE_INFINITY }: Pick<BodyFacts, 'maxPositions'>,
  maxLength: number,
  virtualTokens = 0,
): void => {
  const available = maxPositions - virtualTokens
  if (maxLength > available)
    throw new ConfigError(
      `Expected at most ${available} for \`maxLength\`, the positions of the model${virtualTokens > 0 ? ` without ${virtualTokens} virtual tokens` : ''}, got ${maxLength}. Lower it.`,
    )
}
