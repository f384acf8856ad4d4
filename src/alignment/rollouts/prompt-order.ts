// The order of prompts in rollouts: a pure function of (seed, cursor), each epoch shuffled anew, so that the cursor is all that a checkpoint
// needs.
import { createRandom, DataError, permutedIndex } from '../../core/index.ts'

/** Prompts by a cursor that counts them over all epochs. */
export interface PromptOrder {
  readonly count: number
  /** Index of the prompt at a cursor. */
  at(cursor: number): number
  /** Random seed of the answers to the prompt at a cursor: no other prompt or cursor has it. */
  seedAt(cursor: number): number
}

/** @throws DataError without prompts */
export const promptOrder = (count: number, seed: number): PromptOrder => {
  if (count === 0) throw new DataError('Expected at least one prompt to answer, got none. Check the data.')
  return {
    count,
    at: (cursor) => permutedIndex(`${seed}/prompts/${Math.floor(cursor / count)}`, count, cursor % count),
    seedAt: (cursor) => createRandom(`${seed}/answers/${cursor}`).integer(2 ** 47),
  }
}
