// The examples of several data sets in one order: as one set, or in given shares. A pure function of seed and position, so that a resumed
// run continues without replaying it, whatever micro-batches and processes.
import { ConfigError, permutedIndex } from '../../core/index.ts'
import { mixtureOrder } from '../../data/index.ts'
import type { TaskExample } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'
import type { DataSet } from './data-sets.ts'
import { describePlace, type ExampleList, type RecordPlace, shuffledExamples } from './data-splits.ts'

/** Encoded examples of a data set. */
export interface MixedSet<Example> extends Pick<DataSet, 'name' | 'weight' | 'maxExamples' | 'maxEpochs'> {
  examples: ExampleList<Example>
  placeOf(index: number): RecordPlace
}

/** The examples of all data sets. */
export interface MixedExamples<Example> {
  source: ExampleSource<Example>
  /** Examples of each set in an epoch, on average. */
  examples: number[]
  /** Epochs of the mixture that the limits of the sets allow; Infinity if a set has none. */
  most: number
  /** Sentences about shares and caps. */
  notes: string[]
}

type Truncated = Pick<TaskExample, 'truncatedTokens'>

/** As many examples as a set may have, chosen by the seed. @throws ConfigError for a limit that it does not reach */
const capped = <Example>(set: MixedSet<Example>, seed: number): MixedSet<Example> => {
  const { name, maxExamples, examples, placeOf } = set
  const { length } = examples
  if (maxExamples === undefined || maxExamples === length) return set
  if (maxExamples > length)
    throw new ConfigError(
      `Expected at most ${length} for \`maxExamples\` of the data set ${name}, which has as many examples, got ${maxExamples}. Remove it.`,
    )
  const at = (index: number) => permutedIndex(`${seed}/choice/${name}`, length, index)
  return {
    ...set,
    examples: { length: maxExamples, at: (index) => examples.at(at(index)) },
    placeOf: (index) => placeOf(at(index)),
  }
}

/** All sets as one. */
const joined = <Example>(sets: readonly MixedSet<Example>[]): Pick<MixedSet<Example>, 'examples' | 'placeOf'> => {
  const ends: number[] = []
  for (const { examples } of sets) ends.push((ends.at(-1) ?? 0) + examples.length)
  const find = (index: number): [MixedSet<Example>, number] => {
    const part = ends.findIndex((end) => index < end)
    return [sets[part], index - (ends[part - 1] ?? 0)]
  }
  return {
    examples: {
      length: ends.at(-1) ?? 0,
      at(index) {
        const [{ examples }, own] = find(index)
        return examples.at(own)
      },
    },
    placeOf(index) {
      const [{ placeOf }, own] = find(index)
      return placeOf(own)
    },
  }
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`

/** Weights of sets of these sizes. */
const weightsOf = (sets: readonly MixedSet<unknown>[], temperature: number): number[] =>
  sets.map(({ weight, examples }) => weight ?? examples.length ** (1 / temperature))

/** Examples in the shares of weights, each set shuffled anew whenever it was seen whole. */
const weightedExamples = <Example extends Truncated>(
  sets: readonly MixedSet<Example>[],
  weights: readonly number[],
  seed: number,
): Pick<MixedExamples<Example>, 'source' | 'most'> => {
  const perEpoch = sets.reduce((sum, { examples }) => sum + examples.length, 0)
  const smallest = Math.min(...weights) / weights.reduce((sum, weight) => sum + weight, 0)
  const parts = sets.map(({ examples, maxEpochs }, i) => ({
    rowsPerEpoch: examples.length,
    weight: weights[i],
    ...(maxEpochs === undefined ? {} : { maxEpochs }),
  }))
  // An epoch of few examples has the shares too, unless they are too small for that.
  const block = Math.max(perEpoch, Math.ceil(1 / smallest))
  const order = mixtureOrder(parts, { seed: `${seed}/mixture`, block })
  const find = (position: number) => {
    const { part, row } = order.at(Number.isFinite(order.available) ? position % order.available : position)
    const { name, examples } = sets[part]
    const { length } = examples
    const epoch = Math.floor(row / length)
    return { set: sets[part], index: permutedIndex(`${seed}/${name}/${epoch}`, length, row % length) }
  }
  return {
    most: order.available / perEpoch,
    source: {
      perEpoch,
      example(position) {
        const { set, index } = find(position)
        const example = set.examples.at(index) as Example
        return { example, cut: example.truncatedTokens }
      },
      place(position) {
        const { set, index } = find(position)
        return describePlace(set.placeOf(index))
      },
      ...(Number.isFinite(order.available) ? { batchEnd: () => order.available } : {}),
    },
  }
}

/**
 * Mixes the examples of data sets. Without weights they are one set, and each example comes once in an epoch; with weights an epoch is as
 * many examples, in their shares.
 * @throws DataError without examples, ConfigError for limits that do not fit the sizes of the sets
 */
export const mixExamples = <Example extends Truncated>(
  declared: readonly MixedSet<Example>[],
  { seed, temperature }: { seed: number; temperature?: number | undefined },
): MixedExamples<Example> => {
  const sets = declared.map((set) => capped(set, seed))
  const isMixed = temperature !== undefined || sets.some((set) => (set.weight ?? set.maxEpochs) !== undefined)
  if (!isMixed) {
    const { examples, placeOf } = sets.length === 1 ? sets[0] : joined(sets)
    const source = shuffledExamples(examples, seed, placeOf)
    return { source, examples: sets.map((set) => set.examples.length), most: Number.POSITIVE_INFINITY, notes: [] }
  }
  const weights = weightsOf(sets, temperature ?? 1)
  const { source, most } = weightedExamples(sets, weights, seed)
  const whole = weights.reduce((sum, weight) => sum + weight, 0)
  const examples = weights.map((weight) => (weight / whole) * source.perEpoch)
  const shares = sets.map(
    ({ name, maxEpochs, examples: { length } }, i) =>
      `${percent(weights[i] / whole)} ${name} (each example ${Number((examples[i] / length).toPrecision(3))} times${maxEpochs === undefined ? '' : `, at most ${maxEpochs} in the run`})`,
  )
  return { source, examples, most, notes: [`An epoch is ${source.perEpoch} examples: ${shares.join(', ')}.`] }
}
