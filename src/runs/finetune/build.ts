// Builds a fine-tuning run from its recipe: base with adapter, encoded records, optimizer. Writes nothing before the end.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import {
  expectFewSkipped,
  expectPositions,
  type PreparedTask,
  readPredictions,
  scoresOf,
  type TaskRecord,
  taskMaxLength,
} from '../../tasks/index.ts'
import type { TrainableModel } from '../../training/index.ts'
import { adapterWeights, loadAdaptedBase } from '../engine/adapted-base.ts'
import { describeSkipped, hashesOf, isValidation, shuffledExamples } from '../engine/data-splits.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import type { BuildContext, BuiltRun, RunComparison, RunKind } from '../engine/run-kind.ts'
import { once } from '../engine/shared-data.ts'
import type { EncodedSet } from '../examples/encode-records.ts'
import { streamRecords } from '../examples/survey-records.ts'
import { openTrainingData, stratumOf, type TrainingData } from './data.ts'
import { evaluateSpecialist, exportSpecialist, predictLargest } from './export-specialist.ts'
import { setPriorBias } from './head-prior.ts'
import { type FinetuneRecipe, finetuneSchema, taskOf } from './recipe.ts'
import { nonIterativeFits } from './variants.ts'

interface EncodedRecords {
  prepared: PreparedTask
  encoded: EncodedSet
  maxLength: number
  notes: string[]
}

const encodeRecords = async (
  recipe: FinetuneRecipe,
  { task, config, tokenizer, trained, encode }: TrainingData,
  { model, virtualTokens }: AppliedAdapter,
  context: BuildContext,
): Promise<EncodedRecords> => {
  const maxLength = recipe.maxLength ?? taskMaxLength(model, tokenizer, task) - virtualTokens
  expectPositions(model.facts, maxLength, virtualTokens)
  const { causal, maxPositions, decoderStartTokenId } = model.facts
  const options = { maxLength, headOptions: model.headOptions, facts: { causal, maxPositions, decoderStartTokenId } }
  const prepared = task.prepare(tokenizer, config, { ...options, trainedOn: trained })
  // Encoding adds to the notes of the prepared task.
  const encoded = await once(context, 'encoded', async () => {
    const set = await encode(prepared, options)
    return { ...set, notes: [...set.notes, ...(prepared.notes ?? [])] }
  })
  const { records, skipped, truncated } = encoded.tally
  expectFewSkipped(skipped, records, prepared.maxSkipped ?? 1, recipe.data)
  const notes = [...encoded.notes, ...describeSkipped(skipped)]
  if (truncated > 0)
    notes.push(
      `${truncated} of ${encoded.examples.length} examples are longer than ${maxLength} tokens and are truncated.`,
    )
  return { prepared, encoded, maxLength, notes }
}

const buildFinetune = async (recipe: FinetuneRecipe, context: BuildContext): Promise<BuiltRun> => {
  const data = await once(context, 'data', () => openTrainingData(recipe, context))
  const { applied, hasNewHead, notes } = await loadAdaptedBase(recipe, data)
  const { prepared, encoded, maxLength, notes: encodingNotes } = await encodeRecords(recipe, data, applied, context)
  if (recipe.priorBias && hasNewHead)
    setPriorBias(applied.model, applied.trainable.values(), prepared, encoded.tally.targets)
  const trainable: TrainableModel = {
    model: applied.model,
    objective: prepared.criterion as TrainableModel['objective'],
    parameters: applied.trainable,
  }
  const stream: BuiltRun['stream'] = shuffledExamples(encoded.examples, recipe.seed, (index) => encoded.placeOf(index))
  const specialist = { recipe, data, applied, prepared, maxLength }
  const { task, config, tokenizer, files, base, hashes } = data
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
    weights: applied.inPlace ? undefined : adapterWeights(applied),
    enoughSteps: 10,
    hashes: await once(context, 'hashes', () => hashesOf(files, base, { known: hashes })),
    notes: [...notes, ...data.notes, ...encodingNotes],
    metrics: {
      known: [task.mainMetric(config)],
      measure: async () => Object.keys(scoresOf(await evaluateSpecialist(specialist, 1, { limit: 2 }))),
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
    const { task, config } = taskOf(recipe)
    const { data, validation: path = data, validationShare, split } = recipe
    const records: TaskRecord[] = []
    if (isSplit(split)) {
      await streamRecords(task, data, config, (record) => void records.push(record))
      return splitByLabel(records, split, validationShare, stratumOf(task)).validation
    }
    await streamRecords(task, path, config, (record) => {
      if (recipe.validation !== undefined || isValidation(record, validationShare)) records.push(record)
    })
    return records
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
