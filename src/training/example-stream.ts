// The examples of a run in their order: a pure function of (seed, position), so that a resumed run continues without replaying it.
import { createRandom } from '../core/index.ts'
import { placeAt, type Row, rowAt, type Sampler } from '../data/index.ts'
import type { Objective, ShareWork } from '../objectives/index.ts'
import type { IncidentEvent, NoteEvent, RolloutEvent, TrainingEvent } from '../tracking/index.ts'

/** A global batch with its position in the data. */
export interface TakenBatch<Example> {
  examples: Example[]
  /** Position of the first example. */
  position: number
  /** Position of the next batch. */
  next: number
  tokens: number
  /** Tokens that were truncated. */
  cut: number
}

/** The size of a batch: in examples, or in tokens at least. */
export interface BatchSize {
  sequences?: number
  tokens?: number
}

/** The examples of a run by their position; always the same at a position. */
export interface ExampleSource<Example> {
  /** Examples per epoch; Infinity for a mixture, which has no end. */
  readonly perEpoch: number
  /**
   * The example at a position, and the number of tokens that were truncated. Of online examples, those that `fill`
   * made.
   */
  example(position: number): { example: Example; cut: number }
  /** Where the example at a position comes from, for messages: `reviews.csv:18`, or a document. Undefined where that is not known. */
  place?(position: number): string | undefined
  /** Position at which a batch from `position` on must end, such as the end of an epoch over a rollout (default: anywhere). */
  batchEnd?(position: number): number
  /** For examples that the run itself makes, such as rollouts. */
  readonly online?: OnlineExamples
}

/** What `OnlineExamples.fill` may use. */
export interface FillContext {
  /** Optimizer steps taken so far. */
  step: number
  /** Maximum tokens of a forward pass. */
  microTokens: number
  padded: boolean
  device?: string
  signal?: AbortSignal | undefined
  /** Divides work among the processes of a run. */
  share?: ShareWork
}

type Unstamped<Event> = Event extends TrainingEvent ? Omit<Event, 'time' | 'step'> : never

/** Examples that the run itself makes while it trains, always the same for the same weights and position. */
export interface OnlineExamples {
  /** Position after the last example that was made. */
  readonly end: number
  /** Tokens of an example, estimated, for budgets and memory checks before there is one. */
  readonly expectedTokens: number
  /** Lines that the pre-flight report shows in place of an example. */
  describe(): string
  /**
   * Makes the examples of the next batch, which begins at `position`, unless they are there already.
   * @returns events to record; the loop adds time and step
   */
  fill(position: number, context: FillContext): AsyncIterable<Unstamped<RolloutEvent | IncidentEvent | NoteEvent>>
  /** Writes what a checkpoint needs to go on within these examples, into a folder that it makes. */
  save(folder: string): Promise<void>
  load(folder: string): Promise<void>
}

/** Takes the examples of one global batch. */
export const takeBatch = <Example>(
  source: ExampleSource<Example>,
  tokensOf: (example: Example) => number,
  position: number,
  size: BatchSize,
): TakenBatch<Example> => {
  const taken: TakenBatch<Example> = { examples: [], position, next: position, tokens: 0, cut: 0 }
  const { sequences = Number.POSITIVE_INFINITY, tokens = Number.POSITIVE_INFINITY } = size
  const end = source.batchEnd?.(position) ?? Number.POSITIVE_INFINITY
  while (taken.examples.length < sequences && taken.tokens < tokens && taken.next < end) {
    const { example, cut } = source.example(taken.next)
    taken.examples.push(example)
    taken.tokens += tokensOf(example)
    taken.cut += cut
    taken.next++
  }
  return taken
}

/** Examples that an objective makes of a sampler's rows. */
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

  place(position: number): string | undefined {
    return placeAt(this.#sampler, position)
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
