// The examples of several data sets in one order: as one set, or in given shares. A pure function of seed and position, so that a resumed
// run continues without replaying it, whatever micro-batches and processes.
import { ConfigError, permutedIndex } from '../../core/index.ts'
import { mixtureOrder } from '../../data/index.ts'
import type { TaskExample } from '../../tasks/index.ts'
import type { ExampleSource } from '../../training/index.ts'
import type { DataSet } from './data-sets.ts'
import { type ExampleList, type RecordPlace, shuffledExamples } from './data-splits.ts'

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

/** A source of examples with its share of a mixture. */
export interface MixedSource<Example> {
  name: string
  source: Pick<ExampleSource<Example>, 'perEpoch' | 'example' | 'place'>
  /** Relative share (default: by size). */
  weight?: number | undefined
  maxEpochs?: number | undefined
}

/**
 * Mixes sources in the shares of their weights, each from its first example on: a position of the mixture is a position of one of them.
 * Sources without weights have shares by size, to the power of 1/temperature.
 */
export const mixSources = <Example>(
  sources: readonly MixedSource<Example>[],
  { seed, temperature = 1 }: { seed: number; temperature?: number | undefined },
): MixedExamples<Example> => {
  const weights = sources.map(({ weight, source }) => weight ?? source.perEpoch ** (1 / temperature))
  const perEpoch = sources.reduce((sum, { source }) => sum + source.perEpoch, 0)
  const whole = weights.reduce((sum, weight) => sum + weight, 0)
  const parts = sources.map(({ source, maxEpochs }, i) => ({
    rowsPerEpoch: source.perEpoch,
    weight: weights[i],
    ...(maxEpochs === undefined ? {} : { maxEpochs }),
  }))
  // An epoch of few examples has the shares too, unless they are too small for that.
  const smallest = Math.min(...weights) / whole
  const block = Math.max(perEpoch, Math.ceil(1 / smallest))
  const order = mixtureOrder(parts, { seed: `${seed}/mixture`, block })
  const find = (position: number) => order.at(Number.isFinite(order.available) ? position % order.available : position)
  const examples = weights.map((weight) => (weight / whole) * perEpoch)
  const shares = sources.map(
    ({ name, maxEpochs, source }, i) =>
      `${percent(weights[i] / whole)} ${name} (each example ${Number((examples[i] / source.perEpoch).toPrecision(3))} times${maxEpochs === undefined ? '' : `, at most ${maxEpochs} in the run`})`,
  )
  return {
    examples,
    most: order.available / perEpoch,
    notes: [`An epoch is ${perEpoch} examples: ${shares.join(', ')}.`],
    source: {
      perEpoch,
      example(position) {
        const { part, row } = find(position)
        return sources[part].source.example(row)
      },
      place(position) {
        const { part, row } = find(position)
        return sources[part].source.place?.(row)
      },
      ...(Number.isFinite(order.available) ? { batchEnd: () => order.available } : {}),
    },
  }
}

/**
 * Mixes the examples of data sets. Without weights they are one set, and each example comes once in an epoch; with weights an epoch is as
 * many examples, in their shares, each set shuffled anew whenever it was seen whole.
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
  const sources = sets.map(
    ({ examples, placeOf, ...set }): MixedSource<Example> => ({
      ...set,
      source: shuffledExamples(examples, `${seed}/${set.name}`, placeOf),
    }),
  )
  return mixSources(sources, { seed, temperature })
}
