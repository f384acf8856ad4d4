// Builds a fine-tuning run from its recipe: base with adapter, encoded records, optimizer. Writes nothing before the end.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import {
  addSums,
  expectFewSkipped,
  expectPositions,
  type PreparedTask,
  readPredictions,
  scaleSums,
  scoresOf,
  type TargetSums,
  type TaskExample,
  type TaskRecord,
  taskMaxLength,
} from '../../tasks/index.ts'
import { metricOfSet } from '../../tracking/index.ts'
import type { TrainableModel } from '../../training/index.ts'
import { loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { describeSkipped, hashesOf, isValidation } from '../engine/data-splits.ts'
import { type MixedExamples, mixExamples } from '../engine/example-mixture.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import { restoreFunctions } from '../engine/recipe-functions.ts'
import type { BuildContext, BuiltRun, RunComparison, RunKind } from '../engine/run-kind.ts'
import { once } from '../engine/shared-data.ts'
import type { EncodedSet } from '../examples/encode-records.ts'
import { streamRecords } from '../examples/survey-records.ts'
import { openTrainingData, stratumOf, type TrainingData } from './data.ts'
import { evaluateSpecialist, exportSpecialist, predictLargest, writeTaskFiles } from './export-specialist.ts'
import { setPriorBias } from './head-prior.ts'
import { type FinetuneRecipe, finetuneSchema, setsOf, taskOf } from './recipe.ts'
import { expectWithinLimits, joinValidation, notesOfSets } from './several-sets.ts'
import { nonIterativeFits } from './variants.ts'

interface EncodedRecords {
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

const encodeRecords = async (
  recipe: FinetuneRecipe,
  { task, config, tokenizer, trained, sets }: TrainingData,
  { model, virtualTokens }: AppliedAdapter,
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
  const { seed, dataTemperature: temperature } = recipe
  const mixed = mixExamples(
    sets.map((set, i) => ({ ...set, examples: encoded[i].examples, placeOf: (index) => encoded[i].placeOf(index) })),
    { seed, temperature },
  )
  expectWithinLimits(recipe.budget.epochs, mixed.most)
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
    targets: mixedTargets(encoded, mixed),
    maxLength,
    notes: [...notesOfSets(notes), ...mixed.notes],
    close,
  }
}

/** Targets of all sets, each as often as its examples come in an epoch. */
const mixedTargets = (
  encoded: readonly EncodedSet[],
  { examples }: MixedExamples<TaskExample>,
): TargetSums | undefined =>
  encoded
    .map(({ tally: { targets }, examples: { length } }, i) => targets && scaleSums(targets, examples[i] / length))
    .reduce((sum, next) => {
      if (sum !== undefined && next !== undefined) addSums(sum, next)
      return sum ?? next
    })

const buildFinetune = async (recipe: FinetuneRecipe, context: BuildContext): Promise<BuiltRun> => {
  await restoreFunctions(recipe)
  const data = await once(context, 'data', () => openTrainingData(recipe, context))
  const { applied, hasNewHead, notes } = await loadAdaptedBase(recipe, data)
  const { prepared, mixed, targets, maxLength, ...encoded } = await encodeRecords(recipe, data, applied, context)
  if (recipe.priorBias && hasNewHead) setPriorBias(applied.model, applied.trainable.values(), prepared, targets)
  const trainable: TrainableModel = {
    model: applied.model,
    objective: prepared.criterion as TrainableModel['objective'],
    parameters: applied.trainable,
  }
  const stream: BuiltRun['stream'] = mixed.source
  const specialist = { recipe, data, applied, prepared, maxLength }
  const { task, config, tokenizer, files, base, hashes, validationSets } = data
  const main = task.mainMetric(config)
  return {
    recipe: evaluateEachEpoch(recipe, trainable, stream),
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    chatTemplate: prepared.generation?.template,
    vocabulary: vocabularyFacts(tokenizer),
    trainable,
    stream,
    ...setOptimization({ ...recipe, learningRate: recipe.learningRate ?? applied.learningRate }, trainable, stream, {
      learningRateScale: (path) => applied.learningRateScale(path),
      group: context.group,
    }),
    ...savedAs(recipe, base, applied, (folder) => writeTaskFiles(specialist, folder)),
    enoughSteps: 10,
    hashes: await once(context, 'hashes', () => hashesOf(files, base, { known: hashes })),
    notes: [...notes, ...data.notes, ...encoded.notes],
    metrics: {
      known: [main, ...validationSets.map(({ name }) => metricOfSet(main, name))],
      measure: async () =>
        Object.keys(
          scoresOf(await evaluateSpecialist(specialist, 1, { limit: 2 * Math.max(1, validationSets.length) })),
        ),
    },
    evaluate: async () =>
      scoresOf(await evaluateSpecialist(specialist, recipe.answers.duringTraining, { group: context.group })),
    evaluateLargest: () => predictLargest(specialist, recipe.answers.duringTraining),
    exportModel: (folder) => exportSpecialist(specialist, folder),
    // What is shared is closed by its owner.
    close: () => {
      if (context.shared === undefined) encoded.close()
    },
  }
}

const comparison: RunComparison<FinetuneRecipe> = {
  describe: ({ task, variant }) => ({ task, variant }),
  async records(recipe) {
    await restoreFunctions(recipe)
    const { task } = taskOf(recipe)
    const { split } = recipe
    const sets: { name: string; records: TaskRecord[] }[] = []
    for (const { name, path, validation, validationShare, config } of setsOf(recipe)) {
      const records: TaskRecord[] = []
      const isWanted = (record: TaskRecord) =>
        isSplit(split) || validation !== undefined || isValidation(record, validationShare)
      await streamRecords(task, validation ?? path, config, (record) => {
        if (isWanted(record)) records.push(record)
      })
      const held = isSplit(split) ? splitByLabel(records, split, validationShare, stratumOf(task)).validation : records
      sets.push({ name, records: held })
    }
    return joinValidation(sets).records
  },
  answerFields: (recipe) => taskOf(recipe).task.answerFields ?? [],
  predictions(path, records, recipe) {
    const { task, config } = taskOf(recipe)
    return readPredictions(path, task, records, config)
  },
  score(records, predictions, recipe, labels) {
    const { task, config } = taskOf(recipe)
    return task.score(records, predictions, config, labels)
  },
}

/** The kind of run that fine-tunes a base on a task. */
export const finetuneKind: RunKind<FinetuneRecipe> = {
  command: 'finetune',
  schema: finetuneSchema,
  build: buildFinetune,
  nonIterative: (recipe) => nonIterativeFits[recipe.variant]?.(recipe),
  comparison,
}
