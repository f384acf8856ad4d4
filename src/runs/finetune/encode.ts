// Encodes the records of a task, of one data set or several, once the model is known, and resamples their classes. Writes nothing.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import {
  addSums,
  addTargets,
  expectFewSkipped,
  expectPositions,
  noTargets,
  type PreparedTask,
  scaleSums,
  type TargetSums,
  type TaskExample,
  taskMaxLength,
} from '../../tasks/index.ts'
import { describeSkipped } from '../engine/data-splits.ts'
import { type MixedExamples, type MixedSet, mixExamples } from '../engine/example-mixture.ts'
import { type BuildContext, once } from '../engine/run-kind.ts'
import type { EncodedSet } from '../examples/encode-records.ts'
import type { TrainingData } from './data.ts'
import type { FinetuneRecipe } from './recipe.ts'
import { notesOfSets } from './several-sets.ts'

/** Weight of a class with so many examples. */
const weights = { balanced: () => 1, sqrt: Math.sqrt } satisfies Record<string, (count: number) => number>
type Resampling = keyof typeof weights

/** The examples of each class. */
interface ClassSets {
  sets: MixedSet<TaskExample>[]
  /** Sums of the targets of each. */
  targets: TargetSums[]
}

/**
 * Divides the examples of data sets by class. It reads each of them once.
 * @throws ConfigError for data sets with shares of their own, and for tasks whose examples have no class
 */
const classSets = (
  given: readonly MixedSet<TaskExample>[],
  prepared: PreparedTask,
  labels: readonly string[],
  how: Resampling,
): ClassSets => {
  if (given.some(({ weight, maxEpochs, maxExamples }) => (weight ?? maxEpochs ?? maxExamples) !== undefined))
    throw new ConfigError(
      '`resample` and shares of data sets (`weight`, `maxExamples`, `maxEpochs`) both decide how often examples come: remove one.',
    )
  const rows = prepared.generation === undefined ? prepared.rows : undefined
  if (rows?.kind !== 'class')
    throw new ConfigError(
      '`resample` needs a task with one class per example, such as sequence-classification with one label: remove it.',
    )
  if (rows.weights !== undefined)
    throw new ConfigError(
      'Expected `resample` or `settings.classWeights`, got both, which would count rare classes twice. Remove one.',
    )
  const ends: number[] = []
  for (const { examples } of given) ends.push((ends.at(-1) ?? 0) + examples.length)
  // Numbers among all examples, as objects of millions of them would take memory.
  const members: number[][] = labels.map(() => [])
  const targets = labels.map(() => noTargets(rows))
  const find = (member: number): [MixedSet<TaskExample>, number] => {
    const set = ends.findIndex((end) => member < end)
    return [given[set], member - (ends[set - 1] ?? 0)]
  }
  for (let member = 0; member < (ends.at(-1) ?? 0); member++) {
    const [{ examples }, index] = find(member)
    const example = examples.at(index) as TaskExample
    const own = rows.targets(example)
    if (own.length !== 1)
      throw new ConfigError(`\`resample\` needs one class per example, got ${own.length} of them. Remove it.`)
    // Examples whose class is not known are not trained on.
    const label = own[0]
    if (Number.isNaN(label)) continue
    members[label].push(member)
    addTargets(rows, targets[label], example)
  }
  const known = labels.flatMap((name, label) => (members[label].length > 0 ? [{ name, label }] : []))
  return {
    sets: known.map(({ name, label }) => ({
      name,
      weight: weights[how](members[label].length),
      examples: {
        length: members[label].length,
        at: (i) => {
          const [{ examples }, index] = find(members[label][i])
          return examples.at(index)
        },
      },
      placeOf: (i) => {
        const [{ placeOf }, index] = find(members[label][i])
        return placeOf(index)
      },
    })),
    targets: known.map(({ label }) => targets[label]),
  }
}

/** The examples of a task. */
export interface EncodedRecords {
  prepared: PreparedTask
  mixed: MixedExamples<TaskExample>
  /** Sums of the targets, each set as often as it is trained on. */
  targets: TargetSums | undefined
  maxLength: number
  notes: string[]
  close(): void
}

/** The encoded examples of all data sets. */
interface EncodedSets {
  sets: EncodedSet[]
  close(): void
}

const describeTruncated = ({ tally, examples }: EncodedSet, maxLength: number): string[] =>
  tally.truncated === 0
    ? []
    : [`${tally.truncated} of ${examples.length} examples are longer than ${maxLength} tokens and are truncated.`]

/**
 * Encodes the records of all data sets for a model.
 * @throws DataError for records that cannot be encoded, ConfigError for more tokens than the model has positions
 */
export const encodeRecords = async (
  recipe: FinetuneRecipe,
  { task, config, tokenizer, trained, sets }: TrainingData,
  { model, virtualTokens }: Pick<AppliedAdapter, 'virtualTokens'> & { model: Model },
  context: BuildContext,
): Promise<EncodedRecords> => {
  const maxLength = recipe.maxLength ?? taskMaxLength(model, tokenizer, task) - virtualTokens
  expectPositions(model.facts, maxLength, virtualTokens)
  const { causal, maxPositions, decoderStartTokenId } = model.facts
  const options = { maxLength, headOptions: model.headOptions, facts: { causal, maxPositions, decoderStartTokenId } }
  const prepare = (own: object) => task.prepare(tokenizer, own, { ...options, trainedOn: trained })
  const prepared = prepare(config)
  const ofSets = sets.map((set) => (set.config === config ? prepared : prepare(set.config)))
  const { sets: encoded, close } = await once(context, 'encoded', async (): Promise<EncodedSets> => {
    const done: EncodedSet[] = []
    for (const [i, set] of sets.entries()) {
      const one = await set.encode(ofSets[i], options)
      // Encoding adds to the notes of the prepared task.
      done.push({ ...one, notes: [...one.notes, ...(ofSets[i].notes ?? [])] })
    }
    return {
      sets: done,
      close() {
        for (const one of done) one.close()
      },
    }
  })
  for (const [i, { tally }] of encoded.entries())
    expectFewSkipped(tally.skipped, tally.records, ofSets[i].maxSkipped ?? 1, sets[i].path)
  const { seed, dataTemperature: temperature, resample } = recipe
  const declared = sets.map((set, i) => ({
    ...set,
    examples: encoded[i].examples,
    placeOf: (index: number) => encoded[i].placeOf(index),
  }))
  if (resample !== undefined && temperature !== undefined)
    throw new ConfigError('Expected `resample` or `dataTemperature`, got both. Remove one.')
  const byClass = resample && classSets(declared, prepared, model.headOptions.labels, resample)
  const mixed = mixExamples(byClass?.sets ?? declared, { seed, temperature })
  const sizes = byClass?.sets.map(({ examples }) => examples.length) ?? encoded.map(({ examples }) => examples.length)
  const notes = sets.map(({ name }, i) => ({
    name,
    notes: [
      ...encoded[i].notes,
      ...describeSkipped(encoded[i].tally.skipped),
      ...describeTruncated(encoded[i], maxLength),
    ],
  }))
  return {
    prepared,
    mixed,
    targets: mixedTargets(byClass?.targets ?? encoded.map(({ tally }) => tally.targets), sizes, mixed),
    maxLength,
    notes: [...notesOfSets(notes), ...mixed.notes],
    close,
  }
}

/** Targets of all sets, each as often as its examples come in an epoch. */
const mixedTargets = (
  targets: readonly (TargetSums | undefined)[],
  sizes: readonly number[],
  { examples }: MixedExamples<TaskExample>,
): TargetSums | undefined =>
  targets
    .map((sums, i) => sums && scaleSums(sums, examples[i] / sizes[i]))
    .reduce((sum, next) => {
      if (sum !== undefined && next !== undefined) addSums(sum, next)
      return sum ?? next
    })
