// Which batches of a run its plan takes: those whose micro-batches take the most memory, as lengths vary.
import { planMicroBatches } from '../data/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import { mustPad, positionsIn, sequenceLengths } from '../objectives/index.ts'
import { assignRows } from './data-parallel.ts'
import { type ExampleSource, takeBatch } from './example-stream.ts'
import type { TrainableModel } from './gradients.ts'
import { evaluateValidation, type ValidationOptions } from './validation.ts'

/** Examples that are looked at. */
const mostExamples = 4096

/** How examples are split into micro-batches. */
interface Splitting {
  microTokens: number
  padded: boolean
}

/** Examples of a micro-batch, and measures of the memory that it takes. */
interface MicroBatch<Example> {
  examples: Example[]
  /** Positions with padding, trained tokens, and the area of attention. */
  sizes: number[]
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

const splitterOf = <Example>({ model, objective }: TrainableModel<Example>, { microTokens, padded }: Splitting) => {
  const isPadded = padded || mustPad(objective, model)
  const positions = positionsIn(objective, model)
  /** Positions of each sequence of an example, with virtual tokens. */
  const sequencesOf = (example: Example): number[] => {
    const tokens = objective.tokens(example)
    const lengths = sequenceLengths(example, tokens)
    const more = (positions(example) - tokens) / lengths.length
    return lengths.map((length) => length + more)
  }
  return (examples: readonly Example[]): MicroBatch<Example>[] =>
    planMicroBatches(examples.map(positions), microTokens, isPadded).map((indices) => {
      const sequences = indices.flatMap((i) => sequencesOf(examples[i]))
      const longest = Math.max(...sequences)
      const own = isPadded ? sequences.map(() => longest) : sequences
      const trained = indices.flatMap((i) => Object.values(objective.weights(examples[i])))
      const area = sum(own.map((length) => length ** 2))
      return { examples: indices.map((i) => examples[i]), sizes: [sum(own), sum(trained), area] }
    })
}

/**
 * The entries by falling size, the largest of each measure and of the sums of several first; each is there once. Memory grows with every
 * measure, at rates that depend on the model: an entry may need the most without being the largest in one of them.
 */
const bySize = <Entry>(entries: readonly Entry[], sizesOf: (entry: Entry) => readonly number[]): Entry[] => {
  const sizes = new Map(entries.map((entry) => [entry, sizesOf(entry)]))
  const measures = entries.length === 0 ? 0 : sizesOf(entries[0]).length
  const most = Array.from({ length: measures }, (_, k) =>
    Math.max(Number.MIN_VALUE, ...[...sizes.values()].map((own) => own[k])),
  )
  // Each choice of measures, by its bits.
  const rankings = Array.from({ length: 2 ** measures - 1 }, (_, bits) => {
    const shareOf = (entry: Entry) =>
      sum(sizes.get(entry)!.map((size, k) => ((bits + 1) & (1 << k) ? size / most[k] : 0)))
    const shares = new Map(entries.map((entry) => [entry, shareOf(entry)]))
    return [...entries].sort((a, b) => shares.get(b)! - shares.get(a)!)
  })
  return [...new Set(entries.flatMap((_, rank) => rankings.map((ranking) => ranking[rank])))]
}

/** The rows of a batch that the process of a plan computes: all of them without a group. */
export const ownRows = <Example>(
  { objective }: Pick<TrainableModel<Example>, 'objective'>,
  examples: readonly Example[],
  group?: Pick<ProcessGroup, 'rank' | 'size'>,
): Example[] => {
  if (group === undefined) return [...examples]
  const tokens = examples.map((example) => objective.tokens(example))
  return assignRows(tokens, group.size)[group.rank].map((row) => examples[row])
}

/** A part of a step: some of its micro-batches. */
interface StepPart<Example> {
  step: number
  examples: Example[]
  sizes: number[]
}

/**
 * The micro-batches of a step that take the most memory, with some before them: gradients are summed from the second one on, so that the
 * largest of the later ones counts, and the largest of all if it is another one.
 */
const largestParts = <Example>(
  step: number,
  parts: readonly MicroBatch<Example>[],
  microBatches: number,
): StepPart<Example>[] => {
  const largestFrom = (first: number): number =>
    parts.reduce((most, { sizes }, i) => (i > first && sizes[0] > parts[most].sizes[0] ? i : most), first)
  const found: StepPart<Example>[] = []
  let [from, to] = [0, 0]
  for (const at of [largestFrom(Math.min(1, parts.length - 1)), largestFrom(0)]) {
    if (at >= from && at < to) continue
    from = Math.max(0, at + 1 - Math.max(2, microBatches))
    to = Math.max(at + 1, microBatches)
    const shown = parts.slice(from, to)
    const most = (k: number) => Math.max(...shown.map(({ sizes }) => sizes[k]))
    const { sizes } = parts[at]
    const examples = shown.flatMap((part) => part.examples)
    found.push({ step, examples, sizes: [at > 0 ? sizes[0] : 0, ...sizes.map((_, k) => most(k))] })
  }
  return found
}

/** Batches of a plan. */
export interface PlannedBatches<Example> {
  /** Examples of each step that is planned. */
  batches: Example[][]
  /** Mean tokens of whole steps. */
  tokensPerStep: number
  /** Mean rows and tokens of whole steps that the process of the plan computes: all of them without a group. */
  own: { rows: number; tokens: number }
  /** Steps that were looked at: all steps on a rollout, where the run makes its examples itself. */
  looked: number
}

/** What of a run is looked at, and how much of it is planned. */
export interface PlannedShare extends Splitting {
  batch: { sequences?: number | undefined; tokens?: number | undefined }
  /** Steps that are looked at. */
  last: number
  steps: number
  /** Micro-batches of a step that are planned. Those of a group are planned whole, as each process finds its rows in them. */
  microBatches: number
  group?: Pick<ProcessGroup, 'rank' | 'size'> | undefined
}

/**
 * The batches of a plan: the run's own steps in their order if that are few, else those that take the most memory, the
 * largest first, as planning may end after it.
 */
export const plannedBatches = <Example>(
  trainable: TrainableModel<Example>,
  stream: ExampleSource<Example>,
  { batch, last, steps, microBatches, group, ...splitting }: PlannedShare,
): PlannedBatches<Example> => {
  const split = splitterOf(trainable, splitting)
  const parts: StepPart<Example>[][] = []
  const own = { rows: 0, tokens: 0 }
  let [tokens, position] = [0, 0]
  const end = Math.min(mostExamples, stream.online?.end ?? mostExamples)
  do {
    const taken = takeBatch(stream, trainable.objective.tokens, position, batch as { sequences: number })
    tokens += taken.tokens
    position = taken.next
    const rows = ownRows(trainable, taken.examples, group)
    own.rows += rows.length
    own.tokens += rows.reduce((sum, row) => sum + trainable.objective.tokens(row), 0)
    const step = parts.length
    parts.push(
      group === undefined
        ? largestParts(step, split(rows), microBatches)
        : largestParts(step, split(rows), Number.POSITIVE_INFINITY).map((part) => ({
            ...part,
            examples: taken.examples,
          })),
    )
  } while (parts.length < last && position < end)
  const inOrder = parts.map(([part]) => part)
  const ordered = last <= steps ? inOrder : bySize(parts.flat(), ({ sizes }) => sizes)
  // A single step is planned again: the second one finds the blocks of the first.
  const planned = Array.from({ length: steps }, (_, i) => ordered[i % ordered.length].examples)
  const looked = parts.length
  return {
    batches: planned,
    tokensPerStep: tokens / looked,
    own: { rows: own.rows / looked, tokens: own.tokens / looked },
    looked,
  }
}

/** A source whose batches are given. */
export const sourceOfBatches = <Example>(batches: readonly (readonly Example[])[]): ExampleSource<Example> => {
  const examples = batches.flat()
  const ends: number[] = []
  for (const { length } of batches) ends.push((ends.at(-1) ?? 0) + length)
  return {
    perEpoch: examples.length,
    example: (position) => ({ example: examples[position], cut: 0 }),
    batchEnd: (position) => ends.find((end) => end > position) ?? examples.length,
  }
}

/** Micro-batches of an evaluation that are planned together in their order, and largest ones besides. */
const [firstParts, otherParts] = [4, 2]

/** Evaluates those of the validation examples that take the most memory, for a plan. */
export const evaluateLargest = async <Example>(
  trainable: TrainableModel<Example>,
  stream: ExampleSource<Example>,
  { examples: count, ...options }: ValidationOptions,
): Promise<void> => {
  const examples = Array.from(
    { length: Math.min(count, stream.perEpoch, mostExamples) },
    (_, position) => stream.example(position).example,
  )
  const parts = splitterOf(trainable, options)(examples)
  const [first, rest] = [parts.slice(0, firstParts), parts.slice(firstParts)]
  // The first ones together, as criteria complete all examples at once; each of the others alone, so that it is split as it was.
  const largest = bySize(rest, ({ sizes }) => sizes).slice(0, otherParts)
  const groups = [first.flatMap((part) => part.examples), ...largest.map((part) => part.examples)]
  for (const group of groups)
    if (group.length > 0)
      await evaluateValidation(trainable, sourceOfBatches([group]), { ...options, examples: group.length })
}
