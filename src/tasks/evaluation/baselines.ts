// Parts of baselines that need no model: counts, the most frequent value, a random item.
import { invariant, type Random } from '../../core/index.ts'

/** The most frequent value; of equals, the one that was counted first. */
export const mostFrequent = <Value>(counts: ReadonlyMap<Value, number>): Value => {
  invariant(counts.size > 0, 'there are values to choose from.')
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0]
}

/** An item drawn uniformly. */
export const randomItem = <Item>(items: readonly Item[], random: Random): Item => items[random.integer(items.length)]
