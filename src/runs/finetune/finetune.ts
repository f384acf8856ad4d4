// Fine-tuning as a function, and how its run is built from the recipe: base with adapter, encoded records, prior of a new head, regularisation,
// optimizer.
import { isDeepStrictEqual } from 'node:util'
import { type AppliedAdapter, addEmbeddingNoise, EmbeddingAdversary } from '../../adapters/index.ts'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
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
import { Mixout, type TrainableModel, trainingSchema } from '../../training/index.ts'
import { loadAdaptedBase, savedAs } from '../engine/adapted-base.ts'
import { expectPrecision, fillDefaults, settledData, settleModels } from '../engine/base-settings.ts'
import { dataSetsOf, readDataSets } from '../engine/data-sets.ts'
import { startRun } from '../engine/execute.ts'
import { isSplit, splitByLabel } from '../engine/folds.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import { nameFunctions, restoreFunctions } from '../engine/recipe-functions.ts'
import {
  type BuildContext,
  type BuiltRun,
  once,
  type RunComparison,
  type RunKind,
  type RunListener,
  type RunResult,
} from '../engine/run-kind.ts'
import { openTeacher, settleTeacher } from '../engine/teacher.ts'
import { hashesOf, isValidation } from '../examples/run-data.ts'
import { streamRecords } from '../examples/survey-records.ts'
import type { FinetuneInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { encodeRecords, openTrainingData, stratumOf } from './data.ts'
import { evaluateSpecialist, exportSpecialist, predictLargest, writeTaskFiles } from './export-specialist.ts'
import { featurePrecision, nonIterativeFits } from './feature-learning.ts'
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

export const finetuneKind: RunKind<FinetuneRecipe> = {
  command: 'finetune',
  schema: finetuneSchema,
  build: buildFinetune,
  nonIterative: (recipe) => nonIterativeFits[recipe.variant]?.(recipe),
  comparison: () => finetuneComparison,
}

/**
 * Fine-tunes a base on a task, in a new folder. By default: three epochs, 32 examples a step, an evaluation after each epoch, and the
 * checkpoint with the best main metric of the task becomes the model.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const finetune = async (input: FinetuneInput, listener: RunListener = {}): Promise<RunResult> =>
  startRun(finetuneKind, await resolveFinetuning(input, listener), listener)

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolveFinetuning = async (
  input: object,
  listener: Pick<RunListener, 'onNote'> = {},
): Promise<FinetuneRecipe> => {
  const recipe = completeRecipe(await withModules(input))
  await settlePaths(recipe, listener)
  await settleModels(recipe)
  recipe.distillation = await settleTeacher(recipe.distillation)
  return recipe
}

/** Makes the paths of data absolute, and pins data sets of the Hub. */
export const settlePaths = async (
  recipe: Pick<FinetuneRecipe, 'data' | 'validation'>,
  listener: Pick<RunListener, 'onNote'>,
): Promise<void> => {
  const settled = (path: string) => settledData(path, listener)
  if (typeof recipe.data === 'string') recipe.data = await settled(recipe.data)
  else {
    const sets = dataSetsOf(recipe.data)
    for (const set of sets) {
      set.path = await settled(set.path)
      if (set.validation !== undefined) set.validation = await settled(set.validation)
    }
    recipe.data = sets
  }
  if (recipe.validation !== undefined) recipe.validation = await settled(recipe.validation)
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeRecipe = (input: object): FinetuneRecipe => {
  const recipe = parseConfig(finetuneSchema, { ...input, command: 'finetune' }, 'finetune')
  Object.assign(recipe, nameFunctions(recipe))
  const { task, config } = taskOf(recipe)
  recipe.data = readDataSets(recipe.data, recipe.dataTemperature)
  setsOf(recipe)
  if (finetuneKind.nonIterative?.(recipe) !== undefined) {
    expectNoSteps(recipe)
    featurePrecision(recipe)
    return recipe
  }
  expectPrecision(recipe)
  fillDefaults(recipe, { sequences: 32, epochs: 3, best: task.mainMetric(config) })
  return recipe
}

/** Training settings that apply to a variant without steps too. */
const applicable = ['seed', 'precision', 'memoryBudget', 'use']

/** @throws ConfigError that lists every changed setting of steps, or of the head that they train */
const expectNoSteps = (recipe: FinetuneRecipe): void => {
  const { variant, base, task, data, out } = recipe
  const defaults = parseConfig(finetuneSchema, { command: 'finetune', base, task, data, out }, 'finetune')
  const faults = (
    [
      ...Object.keys(trainingSchema.shape),
      'newHead',
      'dataTemperature',
      'priorBias',
      'dropout',
      'neftuneAlpha',
      'fgmEpsilon',
      'mixout',
      'distillation',
      'resample',
      'stack',
      'exampleCache',
      'workers',
      'loss',
    ] as (keyof typeof defaults)[]
  )
    .filter((name) => !applicable.includes(name) && !isDeepStrictEqual(recipe[name], defaults[name]))
    .map(
      (name) =>
        `Expected no \`${name}\` with the variant ${variant}, which has no steps, got ${show(recipe[name])}. It would have no effect; remove it.`,
    )
  for (const { name, weight, maxEpochs, maxExamples } of setsOf(recipe))
    for (const [setting, value] of Object.entries({ weight, maxEpochs, maxExamples }))
      if (value !== undefined)
        faults.push(
          `Expected no \`${setting}\` for the data set ${name} with the variant ${variant}, which learns from all records at once, got ${show(value)}. Remove it.`,
        )
  if (faults.length > 0) throw new ConfigError(faults)
}
