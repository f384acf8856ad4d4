// Answers that take no model: the most frequent one, the mean, one drawn at random. Knows no task.
import { invariant, type Random } from '../../core/index.ts'

/** How often each value occurs. */
export const countValues = <Value>(values: Iterable<Value>): Map<Value, number> => {
  const counts = new Map<Value, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

/** The value that occurs most, the earliest of equals. */
export const mostFrequent = <Value>(counts: ReadonlyMap<Value, number>): Value => {
  invariant(counts.size > 0, 'there are values to choose from.')
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0]
}

export const randomItem = <Item>(items: readonly Item[], random: Random): Item => items[random.integer(items.length)]
