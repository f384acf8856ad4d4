// Builds a fine-tuning run from its recipe: base with adapter, encoded records, optimizer. Writes nothing before the end.
import type { AppliedAdapter } from '../../adapters/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import {
  expectFewSkipped,
  expectPositions,
  type PreparedTask,
  readPredictions,
  scoresOf,
  type TaskExample,
  type TaskRecord,
  taskMaxLength,
} from '../../tasks/index.ts'
import type { TrainableModel } from '../../training/index.ts'
import { describeSkipped, hashesOf, shuffledExamples, splitRecords } from '../engine/data-splits.ts'
import { adapterWeights, openAdaptedBase } from '../engine/open-base.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import type { BuiltRun, RunComparison, RunKind } from '../engine/run-kind.ts'
import { type FinetuneData, readFinetuneData } from './data.ts'
import { evaluateSpecialist, exportSpecialist } from './export-specialist.ts'
import { setPriorBias } from './head-prior.ts'
import { type FinetuneRecipe, finetuneSchema, taskOf } from './recipe.ts'
import { nonIterativeFits } from './variants.ts'

interface EncodedRecords {
  prepared: PreparedTask
  examples: TaskExample[]
  /** The record of each example. */
  sources: TaskRecord[]
  maxLength: number
  notes: string[]
}

const encodeRecords = (
  recipe: FinetuneRecipe,
  { task, config, tokenizer, records, trained }: FinetuneData,
  { model, virtualTokens }: AppliedAdapter,
): EncodedRecords => {
  const maxLength = recipe.maxLength ?? taskMaxLength(model, tokenizer, task) - virtualTokens
  expectPositions(model.facts, maxLength, virtualTokens)
  const prepared = task.prepare(tokenizer, config, {
    maxLength,
    headOptions: model.headOptions,
    facts: model.facts,
    trainedOn: trained,
  })
  const examples: TaskExample[] = []
  const sources: TaskRecord[] = []
  for (const record of records.train)
    for (const example of prepared.encode(record)) {
      examples.push(example)
      sources.push(record)
    }
  expectFewSkipped(prepared.skipped ?? {}, records.train.length, prepared.maxSkipped ?? 1, recipe.data)
  const notes = [...(prepared.notes ?? []), ...describeSkipped(prepared.skipped)]
  const truncated = examples.filter(({ truncatedTokens }) => truncatedTokens > 0).length
  if (truncated > 0)
    notes.push(`${truncated} of ${examples.length} examples are longer than ${maxLength} tokens and are truncated.`)
  return { prepared, examples, sources, maxLength, notes }
}

const buildFinetune = async (recipe: FinetuneRecipe): Promise<BuiltRun> => {
  const data = await readFinetuneData(recipe)
  const { applied, hasNewHead, notes } = await openAdaptedBase(recipe, data)
  const { prepared, examples, sources, maxLength, notes: encodingNotes } = encodeRecords(recipe, data, applied)
  if (recipe.priorBias && hasNewHead) setPriorBias(applied.model, applied.trainable.values(), prepared, examples)
  const trainable: TrainableModel = {
    model: applied.model,
    objective: prepared.criterion as TrainableModel['objective'],
    parameters: applied.trainable,
  }
  const stream: BuiltRun['stream'] = shuffledExamples(examples, recipe.seed, (index) => sources[index])
  const specialist = { recipe, data, applied, prepared, maxLength }
  const { task, config, tokenizer, records, files, base } = data
  return {
    recipe: evaluateEachEpoch(recipe, trainable, stream),
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    vocabulary: vocabularyFacts(tokenizer),
    trainable,
    stream,
    ...setOptimization({ ...recipe, learningRate: recipe.learningRate ?? applied.learningRate }, trainable, stream, {
      learningRateScale: (path) => applied.learningRateScale(path),
    }),
    weights: applied.inPlace ? undefined : adapterWeights(applied),
    enoughSteps: 10,
    hashes: await hashesOf(files, base),
    notes: [...notes, ...data.notes, ...encodingNotes],
    metrics: {
      known: [task.mainMetric(config)],
      measure: async () =>
        Object.keys(scoresOf(await evaluateSpecialist(specialist, 1, records.validation.slice(0, 2)))),
    },
    evaluate: async () => scoresOf(await evaluateSpecialist(specialist, recipe.answers.duringTraining)),
    exportModel: (folder) => exportSpecialist(specialist, folder),
    close() {},
  }
}

const comparison: RunComparison<FinetuneRecipe> = {
  describe: ({ task, variant }) => ({ task, variant }),
  async records(recipe) {
    const { task, config } = taskOf(recipe)
    const { data, validation: path = data, validationShare } = recipe
    const { records } = await task.read(path, config)
    return recipe.validation === undefined ? splitRecords(records, validationShare).validation : records
  },
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
