// Encodes the records of a task, of one data set or several, once the model is known. Writes nothing.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import {
  addSums,
  expectFewSkipped,
  expectPositions,
  type PreparedTask,
  scaleSums,
  type TargetSums,
  type TaskExample,
  taskMaxLength,
} from '../../tasks/index.ts'
import { describeSkipped } from '../engine/data-splits.ts'
import { type MixedExamples, mixExamples } from '../engine/example-mixture.ts'
import type { BuildContext } from '../engine/run-kind.ts'
import { once } from '../engine/shared-data.ts'
import type { EncodedSet } from '../examples/encode-records.ts'
import type { TrainingData } from './data.ts'
import type { FinetuneRecipe } from './recipe.ts'
import { classSets } from './resample.ts'
import { notesOfSets } from './several-sets.ts'

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
