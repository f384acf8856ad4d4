// Seeds of several prompts from one: each prompt has random numbers of its own, whatever the batch.
import { createRandom } from '../../core/index.ts'

/** A seed for each prompt; that of the first, and of a single one, is the given seed. */
export const seedsOfPrompts = (seed: number, count: number): number | number[] =>
  count === 1
    ? seed
    : Array.from({ length: count }, (_, i) => (i === 0 ? seed : createRandom(`${seed}/prompt/${i}`).integer(2 ** 31)))
