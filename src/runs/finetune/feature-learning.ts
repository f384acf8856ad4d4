// Fine-tuning without steps: the frozen base turns records into features once (or the cache has them), and a classical estimator is fitted
// to them. Independent of task, architecture and estimator.
import { join, resolve } from 'node:path'
import { adapters } from '../../adapters/index.ts'
import { ConfigError, formatCount, formatDuration, programCall } from '../../core/index.ts'
import { onFirst } from '../../distributed/index.ts'
import {
  defaultCache,
  type FeatureBase,
  type FeaturePooling,
  type FeatureSettings,
  featureSettings,
  type LearnableTask,
  type LearningResult,
  learnFromFeatures,
  learningProblem,
  loadBase,
  predictFromFeatures,
  saveFeatureModel,
  type TaskFeatures,
  taskFeatures,
  taskPooling,
} from '../../features/index.ts'
import {
  firstRecords,
  type PreparedTask,
  type PrepareOptions,
  scoreIntervalsByTurns,
  type TaskRecord,
  taskMaxLength,
} from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { forwardFlopsPerToken } from '../../training/index.ts'
import type { FinalScores, FitContext, FitResult, NonIterativeFit } from '../engine/run-kind.ts'
import { expectSameRun } from '../engine/run-limits.ts'
import { hashesOf } from '../examples/run-data.ts'
import { type InMemoryData, readFinetuneData } from './data.ts'
import type { FinetuneRecipe, NonIterativeVariant } from './recipe.ts'
import { type SpecialistTask, writeTask } from './specialist-files.ts'
import {
  EvaluationDraft,
  type FinalEvaluation,
  inspectAdvice,
  measureSpecialist,
  SetScores,
} from './write-evaluation.ts'

/** Time between two lines of progress. */
const lineMs = 10_000

const throttled = (say: (line: string) => void) => {
  let last = performance.now()
  return (line: string) => {
    if (performance.now() - last < lineMs) return
    last = performance.now()
    say(line)
  }
}

/** Everything that is known before the base runs. */
interface FeatureFit {
  recipe: FinetuneRecipe
  data: InMemoryData
  base: FeatureBase
  prepared: LearnableTask
  settings: FeatureSettings
  pooling: FeaturePooling
  maxLength: number
  headOptions: PrepareOptions['headOptions']
  /** The seed of a randomly initialised base. */
  initSeed: { initSeed?: number }
}

const learnable = (prepared: PreparedTask, { task, variant }: FinetuneRecipe): LearnableTask => {
  if (prepared.generation === undefined && prepared.rows !== undefined) return prepared as LearnableTask
  throw new ConfigError(
    `Expected a task with one label per text or token for the variant ${variant}, got ${task}. Choose another variant: ${Object.keys(adapters).join(', ')}.`,
  )
}

const expectLength = (maxLength: number, { model }: FeatureBase): void => {
  const { maxPositions = maxLength } = model.facts
  if (maxLength > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} for \`maxLength\`, the limit of the base, got ${maxLength}.`,
    )
}

/** @throws ConfigError for the dtype that only training with gradients has */
export const featurePrecision = ({ precision }: Pick<FinetuneRecipe, 'precision'>): 'float32' | 'bfloat16' => {
  if (precision === 'float16')
    throw new ConfigError(
      'Expected float32 or bfloat16 for `precision` of a variant without gradients, got float16. Set it to bfloat16.',
    )
  return precision
}

const prepareFit = async (recipe: FinetuneRecipe, data: InMemoryData): Promise<FeatureFit> => {
  const { task, config, base: folder, tokenizer, trained } = data
  const { device, seed } = recipe
  const precision = featurePrecision(recipe)
  const initSeed = recipe.randomInit ? { initSeed: seed } : {}
  const base = await loadBase({ base: folder, ...initSeed, precision, device })
  const maxLength = recipe.maxLength ?? taskMaxLength(base.model, tokenizer, task)
  expectLength(maxLength, base)
  const { facts } = base.model
  const prepare = (headOptions: PrepareOptions['headOptions']) =>
    learnable(task.prepare(tokenizer, config, { maxLength, headOptions, facts, trainedOn: trained }), recipe)
  const together: PrepareOptions['headOptions'] = { ...data.headOptions, maxTokens: maxLength }
  const joint = prepare(together)
  const settings = featureSettings(recipe.adapter, learningProblem(joint.rows).kind)
  const separate = settings.pairs === 'separate'
  if (separate && (joint.rows.positions !== undefined || joint.rows.kind === 'choice'))
    throw new ConfigError(`Expected a task about pairs of texts for \`adapter.pairs\` separate, got ${recipe.task}.`)
  const headOptions = separate ? { ...together, pairs: settings.pairs } : together
  const prepared = separate ? prepare(headOptions) : joint
  const pooling = taskPooling(prepared.rows, settings.pooling)
  return { recipe, data, base, prepared, settings, pooling, maxLength, headOptions, initSeed }
}

const extract = async (
  { base, prepared, settings, pooling, data: { tokenizer } }: FeatureFit,
  split: 'training' | 'validation',
  records: readonly TaskRecord[],
  { note, say, signal, group }: FitContext,
): Promise<TaskFeatures> => {
  const tell = throttled(say)
  const features = await taskFeatures(base.model, prepared, records, {
    layer: settings.layer,
    pooling,
    separatePairs: settings.pairs === 'separate',
    cache: settings.cache ?? defaultCache(),
    identity: base.identity,
    padId: tokenizer.special.pad?.id ?? 0,
    batchTokens: settings.batchTokens,
    signal,
    group,
    onNote: note,
    onProgress: (done) => tell(`Computing ${split} features … ${formatCount(done)} texts`),
  })
  const { cached, computed, seconds } = features.extracted
  note(
    `Computed ${split} features of ${formatCount(computed)} texts, ${formatCount(cached)} from the cache (${formatDuration(seconds * 1000)}).`,
  )
  return features
}

const fitEstimator = async (
  { prepared, settings, recipe: { seed } }: FeatureFit,
  train: TaskFeatures,
  { note, say, signal }: FitContext,
): Promise<LearningResult> => {
  const started = performance.now()
  const tell = throttled(say)
  const fitted = await learnFromFeatures(prepared, train, settings, {
    seed,
    signal,
    onNote: note,
    onProgress: (share) => tell(`Fitting ${settings.learner} … ${Math.round(100 * share)} %`),
  })
  note(`Fitted ${settings.learner} (${formatDuration(performance.now() - started)}).`)
  return fitted
}

const evaluateFit = async (
  { prepared, data, headOptions, recipe }: FeatureFit,
  records: readonly TaskRecord[],
  features: TaskFeatures,
  fitted: LearningResult,
): Promise<FinalEvaluation> => {
  const { predictions, ...predicted } = predictFromFeatures(prepared, records, features, fitted)
  const { task, config } = data
  const labels = headOptions.labels ?? []
  const draft = new EvaluationDraft({
    ...data,
    labels,
    seed: recipe.seed,
    folder: recipe.out,
    advice: inspectAdvice(recipe),
    samples: 0,
  })
  const scorer = task.scorer(config, labels)
  const sets = new SetScores({ ...data, labels })
  for (const [i, record] of records.entries())
    for (const taker of [scorer, sets, draft]) taker.add(record, predictions[i])
  const scores = scorer.units()
  return {
    result: {
      ...predicted,
      metrics: { ...(await scoreIntervalsByTurns(scores)), ...(await sets.metrics()) },
      mainMetric: task.mainMetric(config),
      details: scores.details(),
    },
    warnings: scorer.warnings?.() ?? [],
    draft,
  }
}

const modelFolder = ({ out }: FinetuneRecipe) => join(out, runFiles.model)

const saveFit = async (
  fit: FeatureFit,
  fitted: LearningResult,
  width: number,
  evaluated: FinalEvaluation,
): Promise<FinalScores> => {
  const { recipe, data, base, prepared, settings, pooling, maxLength, headOptions, initSeed } = fit
  const { task, tokenizer } = data
  const { kind, outputs } = prepared.rows
  const measured = await measureSpecialist({ ...data, labels: headOptions.labels ?? [] }, evaluated)
  const { result, warnings, config } = measured
  const model = modelFolder(recipe)
  const facts = {
    base: resolve(data.base),
    baseIdentity: base.identity,
    ...initSeed,
    precision: featurePrecision(recipe),
    task: task.type,
    head: [task.head].flat()[0],
    headOptions: { ...headOptions, ...measured.headOptions },
    layer: settings.layer,
    pooling,
    separatePairs: settings.pairs === 'separate',
    width,
    kind,
    outputs,
    standardize: settings.standardize,
    learner: settings.learner,
    settings: settings.settings as Record<string, unknown>,
  }
  const { parameterCount: trained } = fitted.fitted
  let scores: FinalScores = { metrics: {} }
  await saveFeatureModel(facts, fitted, model, async (folder) => {
    const parameters = { trained, total: base.model.parameterCount + trained }
    scores = await evaluated.draft.write(folder, { result, warnings, parameters })
    await writeTask(folder, { task: task.type, settings: config as SpecialistTask['settings'], maxLength })
    if (recipe.tokenizer !== undefined) await tokenizer.save(folder)
  })
  return scores
}

/** The work of the variant `feature-based`. Processes of a group divide the extraction; the first one fits, scores and writes. */
const fitFeatures =
  (recipe: FinetuneRecipe): NonIterativeFit =>
  async (context): Promise<FitResult> => {
    if (recipe.frozenWeights !== 'float32')
      throw new ConfigError(
        `Expected float32 for \`frozenWeights\` with the variant ${recipe.variant}, got ${recipe.frozenWeights}. Its base runs once, so there is no memory to save.`,
      )
    const { group } = context
    const read = () => readFinetuneData(recipe)
    // The others find what the first process downloaded.
    const data = await (group === undefined ? read() : group.firstBefore(read))
    if (data.start !== undefined)
      throw new ConfigError(
        `The variant ${recipe.variant} needs a whole model for \`base\`, got the adapter ${data.start}. Merge it first: \`${programCall('export', recipe.base, '--to', 'merged', '--out', 'FOLDER')}\`.`,
      )
    for (const line of data.notes) context.note(line)
    const hashes = await hashesOf(data.files, data.base)
    if (group !== undefined) await expectSameRun(group, recipe, hashes)
    const fit = await prepareFit(recipe, data)
    const train = await extract(fit, 'training', data.train, context)
    let fitted: LearningResult | undefined
    await onFirst(group, async () => {
      fitted = await fitEstimator(fit, train, context)
    })
    const width = train.features.shape[1]
    train.features.free()
    const held = await firstRecords(data.validation, data.validation.length)
    const validation = await extract(fit, 'validation', held, context)
    return onFirst(group, async () => {
      const learned = fitted as LearningResult
      const evaluated = await evaluateFit(fit, held, validation, learned)
      validation.features.free()
      const scores = await saveFit(fit, learned, width, evaluated).finally(() => evaluated.draft.close())
      const tokens = train.extracted.tokens + validation.extracted.tokens
      const cached = train.extracted.cached + validation.extracted.cached
      const computed = train.extracted.computed + validation.extracted.computed
      return {
        loss: learned.fitted.loss ?? Number.NaN,
        ...scores,
        tokens,
        examples: train.examples.length,
        parameters: learned.fitted.parameterCount,
        flops: forwardFlopsPerToken(fit.base.model.body) * tokens,
        cachedShare: cached / Math.max(1, cached + computed),
        hashes,
        model: modelFolder(recipe),
      }
    })
  }

const fits: Record<NonIterativeVariant, (recipe: FinetuneRecipe) => NonIterativeFit> = {
  'feature-based': fitFeatures,
}

/** The work of each variant without steps; undefined for variants that train in steps. */
export const nonIterativeFits: Readonly<Record<string, ((recipe: FinetuneRecipe) => NonIterativeFit) | undefined>> =
  fits
