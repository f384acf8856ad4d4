// The examples of a run in their order: a pure function of (seed, position), so that any place is found at once.
import { createRandom } from '../core/index.ts'
import { type Row, rowAt, type Sampler } from '../data/index.ts'
import type { Objective } from '../objectives/index.ts'

export interface TakenBatch<Example> {
  examples: Example[]
  /** Where the first example lies in the order of the run. */
  position: number
  /** Where the next batch begins. */
  next: number
  tokens: number
  /** Tokens of the rows that did not fit into examples. */
  cut: number
}

export interface BatchSize {
  sequences?: number
  tokens?: number
}

/** Examples in the order of a run; the same at a position whoever asks. */
export interface ExampleSource<Example> {
  /** Examples in one pass over the data; Infinity where it has no end. */
  readonly perEpoch: number
  /** The example at a position, and tokens that did not fit into it. */
  example(position: number): { example: Example; cut: number }
}

/** The examples of one global batch. */
export const takeBatch = <Example>(
  source: ExampleSource<Example>,
  tokensOf: (example: Example) => number,
  position: number,
  size: BatchSize,
): TakenBatch<Example> => {
  const taken: TakenBatch<Example> = { examples: [], position, next: position, tokens: 0, cut: 0 }
  const { sequences = Number.POSITIVE_INFINITY, tokens = Number.POSITIVE_INFINITY } = size
  while (taken.examples.length < sequences && taken.tokens < tokens) {
    const { example, cut } = source.example(taken.next)
    taken.examples.push(example)
    taken.tokens += tokensOf(example)
    taken.cut += cut
    taken.next++
  }
  return taken
}

/** Rows of a sampler as an objective makes examples of them. */
export class ExampleStream<Example> implements ExampleSource<Example> {
  readonly #objective: Objective<Example>
  readonly #sampler: Sampler
  readonly #seed: number

  constructor(objective: Objective<Example>, sampler: Sampler, seed: number) {
    this.#objective = objective
    this.#sampler = sampler
    this.#seed = seed
  }

  get perEpoch(): number {
    return this.#sampler.rowsPerEpoch
  }

  example(position: number): { example: Example; cut: number } {
    const random = createRandom(`${this.#seed}/example/${position}`)
    const other = (draw: typeof random): Row => {
      const { rowsPerEpoch } = this.#sampler
      const rows = Number.isFinite(rowsPerEpoch) ? rowsPerEpoch : 2 ** 31
      return rowAt(this.#sampler, draw.integer(rows))
    }
    const example = this.#objective.example(rowAt(this.#sampler, position), random, other)
    return { example, cut: this.#objective.cut(example) }
  }
}
