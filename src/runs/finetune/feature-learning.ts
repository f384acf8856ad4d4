// Learning from features as a run's work: the frozen base runs once over the records, or the cache does, and a learner learns from what
// it says. Knows no task, no architecture and no learner by name.
import { join, resolve } from 'node:path'
import { adapters } from '../../adapters/index.ts'
import { ConfigError, formatCount, formatDuration } from '../../core/index.ts'
import {
  defaultCache,
  featureSettings,
  type LearnableTask,
  learnFromFeatures,
  learningProblem,
  openBase,
  predictFromFeatures,
  saveFeatureModel,
  taskFeatures,
  taskPooling,
} from '../../features/index.ts'
import type { HeadType } from '../../models/index.ts'
import {
  type PreparedTask,
  type PrepareOptions,
  scoreIntervals,
  scoresOf,
  type TaskDefinition,
  type TaskRecord,
  type TaskResult,
  taskMaxLength,
} from '../../tasks/index.ts'
import { MODEL_FOLDER } from '../engine/run-folder.ts'
import type { NonIterativeFit } from '../engine/run-kind.ts'
import { hashesOf, readMaterial } from './data.ts'
import { writeEvaluation } from './evaluation-files.ts'
import type { FinetuneRecipe } from './recipe.ts'
import { type SpecialistTask, writeTask } from './specialist-files.ts'

/** Between two lines about how far it is. */
const sayMs = 10_000

const seldom = (say: (line: string) => void) => {
  let said = performance.now()
  return (line: string) => {
    if (performance.now() - said < sayMs) return
    said = performance.now()
    say(line)
  }
}

const learnable = (prepared: PreparedTask, { task, variant }: FinetuneRecipe): LearnableTask => {
  if (prepared.generation === undefined && prepared.rows !== undefined) return prepared as LearnableTask
  throw new ConfigError(
    `Expected a task that gives each text or token one answer for the variant ${variant}, got ${task}. Choose another variant: ${Object.keys(adapters).join(', ')}.`,
  )
}

export const learnFeatures =
  (recipe: FinetuneRecipe): NonIterativeFit =>
  async ({ note, say, signal }) => {
    if (recipe.frozenWeights !== 'float32')
      throw new ConfigError(
        `Expected float32 for \`frozenWeights\` with the variant ${recipe.variant}, got ${recipe.frozenWeights}. Its base is read once, before anything is learnt.`,
      )
    const material = await readMaterial(recipe)
    const { task, config, base: folder, tokenizer, records } = material
    for (const line of material.notes) note(line)
    const { precision, device, seed } = recipe
    const initSeed = recipe.fresh ? { initSeed: seed } : {}
    const base = await openBase({ base: folder, ...initSeed, precision, device })
    const maxLength = recipe.maxLength ?? taskMaxLength(base.model, tokenizer, task)
    const { maxPositions = maxLength } = base.model.facts
    if (maxLength > maxPositions)
      throw new ConfigError(`Expected at most ${maxPositions} for \`maxLength\`, as the base takes, got ${maxLength}.`)
    const headOptions = { ...material.headOptions, maxTokens: maxLength }
    const prepare = (options: PrepareOptions['headOptions']) =>
      learnable(
        task.prepare(tokenizer, config, {
          maxLength,
          headOptions: options,
          facts: base.model.facts,
          trainedOn: records.train,
        }),
        recipe,
      )
    const together = prepare(headOptions)
    const settings = featureSettings(recipe.adapter, learningProblem(together.rows).kind)
    const apart = settings.pairs === 'apart'
    if (apart && (together.rows.positions !== undefined || together.rows.kind === 'choice'))
      throw new ConfigError(`Expected a task about pairs of texts for \`adapter.pairs\` apart, got ${recipe.task}.`)
    const options = apart ? { ...headOptions, pairs: settings.pairs } : headOptions
    const prepared = apart ? prepare(options) : together
    const pooling = taskPooling(prepared.rows, settings.pooling)
    const extract = async (what: string, of: readonly TaskRecord[]) => {
      const tell = seldom(say)
      const found = await taskFeatures(base.model, prepared, of, {
        layer: settings.layer,
        pooling,
        apart,
        cache: settings.cache ?? defaultCache(),
        identity: base.identity,
        padId: tokenizer.special.pad?.id ?? 0,
        batchTokens: settings.batchTokens,
        signal,
        onNote: note,
        onProgress: (done) => tell(`Features of ${formatCount(done)} texts to ${what}.`),
      })
      const { cached, computed, seconds } = found.extracted
      note(
        `Features to ${what}: ${formatCount(computed)} texts through the base, ${formatCount(cached)} from the cache, ${formatDuration(seconds * 1000)}.`,
      )
      return found
    }
    const train = await extract('learn from', records.train)
    const started = performance.now()
    const tell = seldom(say)
    const learnt = await learnFromFeatures(prepared, train, settings, {
      seed,
      signal,
      onNote: note,
      onProgress: (share) => tell(`${settings.learner}: ${Math.round(100 * share)} % is learnt.`),
    })
    note(`Learnt by ${settings.learner} in ${formatDuration(performance.now() - started)}.`)
    const width = train.features.shape[1]
    train.features.free()
    const held = await extract('judge by', records.validation)
    const predicted = predictFromFeatures(prepared, records.validation, held, learnt)
    held.features.free()
    const { labels = [] } = options
    const judgement = task.score(records.validation, predicted.predictions, config, labels)
    const result: TaskResult = {
      ...predicted,
      metrics: scoreIntervals(judgement),
      mainMetric: task.mainMetric(config),
      details: judgement.details(),
    }
    const parameters = {
      trained: learnt.fitted.parameterCount,
      total: base.model.parameterCount + learnt.fitted.parameterCount,
    }
    const model = join(recipe.out, MODEL_FOLDER)
    const facts = {
      base: resolve(folder),
      baseIdentity: base.identity,
      ...initSeed,
      precision,
      task: task.type,
      head: headOf(task),
      headOptions: options,
      layer: settings.layer,
      pooling,
      apart,
      width,
      kind: prepared.rows.kind,
      outputs: prepared.rows.outputs,
      standardize: settings.standardize,
      learner: settings.learner,
      settings: settings.settings as Record<string, unknown>,
    }
    await saveFeatureModel(facts, learnt, model, async (target) => {
      await writeEvaluation(target, { task, config, records, result, labels, parameters, seed })
      await writeTask(target, { task: task.type, settings: config as SpecialistTask['settings'], maxLength })
      if (recipe.tokenizer !== undefined) await tokenizer.save(target)
    })
    const tokens = train.extracted.tokens + held.extracted.tokens
    return {
      loss: learnt.fitted.loss ?? Number.NaN,
      metrics: scoresOf(result),
      tokens,
      examples: train.examples.length,
      parameters: parameters.trained,
      // Forward alone: two operations for every parameter and token.
      flops: 2 * base.model.parameterCount * tokens,
      hashes: await hashesOf(material.files, folder),
      model,
    }
  }

const headOf = ({ head }: TaskDefinition): HeadType => (typeof head === 'string' ? head : head[0])
