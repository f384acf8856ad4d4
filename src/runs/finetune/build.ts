// From a fine-tuning recipe to everything that the loop needs: base, adapter, records, optimizer. Writes nothing before the end.
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type AdapterConfig, type AppliedAdapter, applyAdapter, saveAdapter } from '../../adapters/index.ts'
import {
  describeModelLoad,
  loadModelWithReport,
  openSafetensors,
  saveModel,
  saveSafetensors,
} from '../../checkpoint/index.ts'
import { ConfigError, OutOfMemoryError, writeFileAtomic } from '../../core/index.ts'
import { freezeWeights, type Model } from '../../models/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import {
  evaluateTask,
  expectPositions,
  scoresOf,
  type TaskRecord,
  type TaskResult,
  taskMaxLength,
} from '../../tasks/index.ts'
import { Generator } from '../../tensor/index.ts'
import type { TrainableModel } from '../../training/index.ts'
import { examplesOfStep, setOptimization } from '../engine/optimization.ts'
import type { BuiltRun, RunKind } from '../engine/run-kind.ts'
import { hashesOf, passedOver, readMaterial } from './data.ts'
import { writeEvaluation } from './evaluation-files.ts'
import { beginAtPrior } from './head-prior.ts'
import { type FinetuneRecipe, finetuneSchema } from './recipe.ts'
import { SAMPLES_FILE, type SpecialistTask, samplesOf, writeChatTemplate, writeTask } from './specialist-files.ts'
import { shuffledExamples } from './task-examples.ts'
import { nonIterativeFits } from './variants.ts'

/** Adapters are held as their own tensors alone; the base is in its own folder already. */
const adapterWeights = (applied: AppliedAdapter): NonNullable<BuiltRun['weights']> => ({
  save: async (folder) => {
    await mkdir(folder, { recursive: true })
    await saveSafetensors(join(folder, 'adapter.safetensors'), applied.trainable)
  },
  load: async (folder) => {
    const { tensors, tensor } = await openSafetensors(join(folder, 'adapter.safetensors'))
    applied.loadState(new Map([...tensors.keys()].map((name) => [name, tensor(name)])))
  },
})

/** @throws ConfigError for a head that was drawn at random and that no file would hold: whoever opens the adapter draws another */
const expectHeadKept = ({ inPlace, trainable, model }: AppliedAdapter, newHead: readonly string[]): void => {
  const lost = newHead.filter((path) => !trainable.has(path))
  if (inPlace || lost.length === 0) return
  throw new ConfigError(
    `Expected \`adapter.trainHead\` true for a base without a head for ${model.headType}: ${lost.join(', ')} are drawn at random, and only what is trained is kept.`,
  )
}

const buildFinetune = async (recipe: FinetuneRecipe): Promise<BuiltRun> => {
  const { task, config, base, tokenizer, records, files, headOptions, notes } = await readMaterial(recipe)
  const { precision, device, newHead, frozenWeights: held } = recipe
  // What is held in fewer bits is made from the file's own values, a matrix at a time.
  const dtype = held === 'float32' ? held : undefined
  const apart = held !== 'float32'
  const opened = await loadModelWithReport(base, {
    head: task.head,
    headOptions,
    newHead,
    dtype,
    seed: recipe.seed,
    mapEachTensor: apart,
  })
  const { model } = opened
  if (recipe.fresh) model.initialize({ std: model.facts.initializerRange, generator: new Generator(recipe.seed) })
  if (held !== 'float32') freezeWeights(model, held)
  if (device !== 'cpu' || precision !== 'float32') model.to({ dtype: precision, device })
  const adapter = { ...recipe.adapter, type: recipe.variant } as AdapterConfig
  const applied = applyAdapter(model, adapter, {
    seed: recipe.seed,
    encode: (text) => tokenizer.encode(text, { addSpecialTokens: false }).ids,
  })
  if (!recipe.fresh) expectHeadKept(applied, opened.report.newHead)
  const heldNotes =
    held === 'float32'
      ? []
      : [`The matrices of ${recipe.base} are held in ${held}; the adapter's files fit it as it is.`]
  const active = applied.model
  const maxLength = recipe.maxLength ?? taskMaxLength(active, tokenizer, task) - applied.virtualTokens
  expectPositions(active.facts, maxLength, applied.virtualTokens)
  const prepared = task.prepare(tokenizer, config, {
    maxLength,
    headOptions: active.headOptions,
    facts: active.facts,
    trainedOn: records.train,
  })
  const { criterion: learner } = prepared
  const trainee: TrainableModel = {
    model: active,
    objective: learner as TrainableModel['objective'],
    parameters: applied.trainable,
  }
  const examples = records.train.flatMap((record) => prepared.encode(record))
  if (recipe.priorBias && (recipe.fresh || opened.report.newHead.length > 0))
    beginAtPrior(active, applied.trainable.values(), prepared, examples)
  const cuts = examples.filter(({ truncatedTokens: cut }) => cut > 0).length
  const encodingNotes = [
    ...(prepared.notes ?? []),
    ...passedOver(prepared.skipped),
    ...(cuts > 0
      ? [`${cuts} of ${examples.length} examples are longer than ${maxLength} tokens: what does not fit is cut off.`]
      : []),
  ]
  const stream: BuiltRun['stream'] = shuffledExamples(examples, recipe.seed)
  const evaluateWith = (answers: number) =>
    evaluateTask(active, tokenizer, task, records.validation, config, { maxLength, answers })
  /** The base as training found it, with a new head as it was drawn, without the task's prior; undefined where there is no room for it. */
  const judgeUntrained = async (): Promise<TaskResult | undefined> => {
    const judge = (untrained: Model) =>
      evaluateTask(untrained, tokenizer, task, records.validation, config, { maxLength, answers: recipe.answers.end })
    if (!applied.inPlace) {
      try {
        return await judge(applied.enable(false))
      } finally {
        applied.enable()
      }
    }
    try {
      const again = await loadModelWithReport(base, {
        head: task.head,
        headOptions,
        newHead,
        dtype: 'float32',
        seed: recipe.seed,
      })
      if (device !== 'cpu' || precision !== 'float32') again.model.to({ dtype: precision, device })
      return await judge(again.model)
    } catch (error) {
      if (error instanceof OutOfMemoryError) return undefined
      throw error
    }
  }
  // Once a pass, unless said otherwise.
  const steps = Math.ceil(stream.perEpoch / examplesOfStep(recipe, trainee, stream).examplesPerStep)
  const silent = Object.values(recipe.evaluate).every((value) => value === undefined)
  return {
    recipe: silent ? { ...recipe, evaluate: { steps } } : recipe,
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    vocabulary: vocabularyFacts(tokenizer),
    trainable: trainee,
    stream,
    ...setOptimization({ ...recipe, learningRate: recipe.learningRate ?? applied.learningRate }, trainee, stream, {
      learningRateScale: (path) => applied.learningRateScale(path),
    }),
    weights: applied.inPlace ? undefined : adapterWeights(applied),
    hashes: await hashesOf(files, base),
    notes: [...describeModelLoad(opened.report), ...heldNotes, ...notes, ...encodingNotes],
    evaluate: async () => scoresOf(await evaluateWith(recipe.answers.during)),
    exportModel: async (folder) => {
      const result = await evaluateWith(recipe.answers.end)
      const untrained = recipe.fresh || !recipe.untrained ? undefined : await judgeUntrained()
      const { labels } = active.headOptions
      const parameters = { trained: applied.parameterCount, total: active.parameterCount }
      const { generation: writing } = prepared
      const also = async (target: string) => {
        await writeEvaluation(target, {
          task,
          config,
          records,
          result,
          untrained,
          labels,
          parameters,
          seed: recipe.seed,
        })
        await writeTask(target, { task: task.type, settings: config as SpecialistTask['settings'], maxLength })
        // Else the base's, which is beside the base.
        const ownTokenizer = writing !== undefined || recipe.tokenizer !== undefined
        if (ownTokenizer && !applied.inPlace) await tokenizer.save(target)
        if (writing?.template !== undefined) await writeChatTemplate(target, writing.template)
      }
      if (writing !== undefined) {
        const promptOf = (record: TaskRecord) =>
          tokenizer.decode(writing.prompt(record).ids, { skipSpecialTokens: false })
        const samples = samplesOf({
          records: records.validation,
          promptOf,
          before: untrained,
          after: result,
          count: recipe.answers.samples,
        })
        await writeFileAtomic(join(recipe.out, SAMPLES_FILE), `${JSON.stringify(samples, null, 2)}\n`)
      }
      if (applied.inPlace) await saveModel(active, folder, { tokenizer: recipe.tokenizer, also })
      else
        await saveAdapter(applied, folder, { base: resolve(base), ...(recipe.fresh && { fresh: recipe.seed }), also })
      return scoresOf(result)
    },
    close() {},
  }
}

export const finetuneKind: RunKind<FinetuneRecipe> = {
  command: 'finetune',
  schema: finetuneSchema,
  build: buildFinetune,
  nonIterative: (recipe) => nonIterativeFits[recipe.variant]?.(recipe),
}
