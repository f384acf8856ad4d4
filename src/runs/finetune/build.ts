// Builds a fine-tuning run from its recipe: base with adapter, encoded records, prior of a new head, regularisation, optimizer. Writes nothing before
// the end.
import { type AppliedAdapter, addEmbeddingNoise, EmbeddingAdversary } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { Linear } from '../../nn/index.ts'
import { distilled, vocabularyFacts } from '../../objectives/index.ts'
import {
  firstRecords,
  type PreparedTask,
  priorLogits,
  type RecordSource,
  readPredictions,
  recordsInMemory,
  scoreRecords,
  scoresOf,
  type TargetSums,
  type TaskRecord,
} from '../../tasks/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import { metricOfSet } from '../../tracking/index.ts'
import { Mixout, type TrainableModel } from '../../training/index.ts'
import { loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { hashesOf, isValidation } from '../engine/data-splits.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import { restoreFunctions } from '../engine/recipe-functions.ts'
import { type BuildContext, type BuiltRun, once, type RunComparison, type RunKind } from '../engine/run-kind.ts'
import { openTeacher } from '../engine/teacher.ts'
import { streamRecords } from '../examples/survey-records.ts'
import { openTrainingData, stratumOf } from './data.ts'
import { encodeRecords } from './encode.ts'
import { evaluateSpecialist, exportSpecialist, predictLargest, writeTaskFiles } from './export-specialist.ts'
import { nonIterativeFits } from './feature-learning.ts'
import { type FinetuneRecipe, finetuneSchema, setsOf, taskOf } from './recipe.ts'
import { expectWithinLimits, joinValidation } from './several-sets.ts'

/** Sets the head's bias to the prior, if that bias is trained and the task's answers are scores of rows; else changes nothing. */
export const setPriorBias = (
  { head }: Model,
  trained: Iterable<Tensor>,
  task: PreparedTask,
  targets: TargetSums | undefined,
): void => {
  const bias = head.scores?.bias
  if (bias === undefined || task.generation !== undefined || task.rows === undefined || targets === undefined) return
  if (![...trained].includes(bias)) return
  const prior = priorLogits(task.rows, targets)
  scope(() => noGrad(() => void bias.detach().copy_(Tensor.from(prior, { shape: [prior.length] }))))
}

type Settings = Pick<
  FinetuneRecipe,
  'neftuneAlpha' | 'fgmEpsilon' | 'mixout' | 'seed' | 'shard' | 'variant' | 'randomInit'
>

/** Matrices of the body's linear layers that are trained themselves and have the values of the base. */
const trainedMatrices = ({ model }: AppliedAdapter, parameters: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
  const matrices = new Set(
    [...model.body.modules()].flatMap(([, module]) => (module instanceof Linear ? [module.weight] : [])),
  )
  return new Map([...parameters].filter(([, tensor]) => matrices.has(tensor)))
}

/** @throws ConfigError where mixout would have no effect, or cannot be computed */
const createMixout = (
  { mixout: share, seed, shard, variant, randomInit }: Settings,
  applied: AppliedAdapter,
  parameters: ReadonlyMap<string, Tensor>,
): Mixout | undefined => {
  if (share === undefined) return undefined
  if (randomInit) throw new ConfigError('`mixout` needs pretrained weights to return to, got `randomInit`. Remove one.')
  if (shard !== 'none') throw new ConfigError('`mixout` needs all gradients on each process: set `shard` to none.')
  const matrices = trainedMatrices(applied, parameters)
  if (matrices.size === 0)
    throw new ConfigError(
      `\`mixout\` has no effect with the variant ${variant}, which trains no matrix of the base: remove it, or choose full or last-n-layers.`,
    )
  return new Mixout(matrices, { share, seed })
}

/** What is trained, with the regularisation of a recipe. @throws ConfigError for settings without effect */
export const regularized = <Example>(
  recipe: Settings,
  applied: AppliedAdapter,
  trainable: TrainableModel<Example>,
): TrainableModel<Example> => {
  const { neftuneAlpha, fgmEpsilon } = recipe
  if (neftuneAlpha !== undefined) addEmbeddingNoise(applied.model, neftuneAlpha)
  if (fgmEpsilon !== undefined && trainable.objective.comparesExamples)
    throw new ConfigError(
      '`fgmEpsilon` needs a loss of single examples, and that of this task compares the texts of a batch with each other. Remove it.',
    )
  const mixout = createMixout(recipe, applied, trainable.parameters)
  return {
    ...trainable,
    ...(fgmEpsilon === undefined ? {} : { adversary: new EmbeddingAdversary(applied.model, fgmEpsilon) }),
    ...(mixout && { mixout }),
  }
}

const buildFinetune = async (recipe: FinetuneRecipe, context: BuildContext): Promise<BuiltRun> => {
  await restoreFunctions(recipe)
  const data = await once(context, 'data', () => openTrainingData(recipe, context))
  const { applied, hasNewHead, notes } = await loadAdaptedBase(recipe, { ...data, dropout: recipe.dropout })
  const { prepared, mixed, targets, maxLength, ...encoded } = await encodeRecords(recipe, data, applied, context)
  expectWithinLimits(recipe.budget.epochs, mixed.most)
  if (recipe.priorBias && hasNewHead) setPriorBias(applied.model, applied.trainable.values(), prepared, targets)
  const { model } = applied
  const taught = await openTeacher(recipe, { model, tokenizer: data.tokenizer, maxLength })
  const criterion = prepared.criterion as TrainableModel['objective']
  const trainable = regularized(recipe, applied, {
    model,
    objective: taught === undefined ? criterion : distilled(criterion, taught.teacher),
    parameters: applied.trainable,
  })
  const stream: BuiltRun['stream'] = mixed.source
  const specialist = { recipe, data, applied, prepared, maxLength }
  const { task, config, tokenizer, files, base, start, hashes, validationSets } = data
  const main = task.mainMetric(config)
  return {
    recipe: evaluateEachEpoch(recipe, trainable, stream),
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    chatTemplate: prepared.generation?.template,
    vocabulary: vocabularyFacts(tokenizer),
    stream,
    ...setOptimization({ ...recipe, learningRate: recipe.learningRate ?? applied.learningRate }, trainable, stream, {
      learningRateScale: (path) => applied.learningRateScale(path),
      applied,
      group: context.group,
    }),
    ...savedAs(recipe, base, applied, (folder) => writeTaskFiles(specialist, folder)),
    enoughSteps: 10,
    validationRecords: data.validation.length,
    hashes: {
      ...(await once(context, 'hashes', () => hashesOf(files, base, { known: hashes, start, stack: recipe.stack }))),
      ...taught?.hashes,
    },
    notes: [...notes, ...data.notes, ...encoded.notes, ...(taught?.notes ?? [])],
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
      if (context.shared !== undefined) return
      encoded.close()
      data.close()
    },
  }
}

/** How fine-tuning runs, and the tasks of runs of several, are compared. */
export const finetuneComparison: RunComparison<FinetuneRecipe> = {
  describe: ({ task, variant }) => ({ task, variant }),
  async records(recipe) {
    await restoreFunctions(recipe)
    const { task } = taskOf(recipe)
    const { split } = recipe
    const sets: { name: string; records: RecordSource }[] = []
    for (const { name, path, validation, validationShare, config } of setsOf(recipe)) {
      const records: TaskRecord[] = []
      const isWanted = (record: TaskRecord) =>
        isSplit(split) || validation !== undefined || isValidation(record, validationShare)
      await streamRecords(task, validation ?? path, config, (record) => {
        if (isWanted(record)) records.push(record)
      })
      const held = isSplit(split) ? splitByLabel(records, split, validationShare, stratumOf(task)).validation : records
      sets.push({ name, records: recordsInMemory(held) })
    }
    const joined = joinValidation(sets).records
    return [...(await firstRecords(joined, joined.length))]
  },
  answerFields: (recipe) => taskOf(recipe).task.answerFields ?? [],
  predictions(path, records, recipe) {
    const { task, config } = taskOf(recipe)
    return readPredictions(path, task, records, config)
  },
  score(records, predictions, recipe, labels) {
    const { task, config } = taskOf(recipe)
    return scoreRecords(task, records, predictions, config, labels)
  },
}

/** The kind of run that fine-tunes a base on a task. */
export const finetuneKind: RunKind<FinetuneRecipe> = {
  command: 'finetune',
  schema: finetuneSchema,
  build: buildFinetune,
  nonIterative: (recipe) => nonIterativeFits[recipe.variant]?.(recipe),
  comparison: finetuneComparison,
}
