// One body with an adapter and a head for each task: loaded, trained by a criterion over all tasks, saved so that each task opens as a model of its
// own, and restored. Independent of single tasks and methods.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppliedAdapter } from '../../adapters/index.ts'
import {
  loadModelWithReport,
  loadWeightsInto,
  openSafetensors,
  rememberSource,
  saveModel,
  saveSafetensors,
  sourceOf,
} from '../../checkpoint/index.ts'
import { ConfigError, TunesmithError } from '../../core/index.ts'
import {
  currentLayerWeights,
  headEntry,
  joinHeads,
  LanguageHead,
  type Model,
  withHead,
  withLayerWeights,
} from '../../models/index.ts'
import { currentDropout, withDropout } from '../../nn/index.ts'
import type { Batch, Criterion, LossTerm, Metric, Sequences } from '../../objectives/index.ts'
import { freeTensors, Generator, type Tensor } from '../../tensor/index.ts'
import { checkpointFiles, metricOfTask, modelFiles } from '../../tracking/index.ts'
import { restoreTensors } from '../../training/index.ts'
import { exportAdapter, loadAdaptedBase, takeStartHead } from '../engine/adapted-base.ts'
import type { BuiltRun } from '../engine/run-kind.ts'
import type { TrainingData } from '../finetune/data.ts'
import type { FinetuneRecipe } from '../finetune/recipe.ts'
import type { MultitaskRecipe } from './recipe.ts'

interface TrainedTask {
  name: string
  /** The shared body with the head of the task. */
  model: Model
  criterion: Criterion
  /** Factor of its loss. */
  scale: number
}

/** An example of one of several tasks. The loop counts its sequences by their starts. */
export interface TaggedTaskExample extends Pick<Sequences, 'starts'> {
  task: number
  example: unknown
}

/** The examples of one task in a batch. */
interface BatchPart {
  task: TrainedTask
  /** Number of the task, and places of its examples in the batch. */
  number: number
  places: number[]
  batch: Batch
}

interface JoinedBatch extends Batch {
  parts: BatchPart[]
}

const withName = <Value>(task: string, values: Record<string, Value>): Record<string, Value> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [metricOfTask(task, name), value]))

/**
 * The criterion of several tasks. The terms of a task have its name, and the loop divides each by its own weight in the
 * batch: the loss of a step is the sum of the tasks' losses, each times its scale, whatever shares they have in the batch.
 * @throws ConfigError for a task whose loss depends on the whole batch
 */
export const joinCriteria = (tasks: readonly TrainedTask[]): Criterion<TaggedTaskExample> => {
  for (const { name, criterion } of tasks)
    if (criterion.prepare !== undefined || criterion.carried !== undefined)
      throw new ConfigError(
        `Expected tasks whose loss depends on single examples, got ${name}, whose loss depends on the whole batch. Train it alone.`,
      )
  const of = ({ task }: TaggedTaskExample) => tasks[task]
  return {
    unpadded: tasks.every(({ criterion }) => criterion.unpadded),
    tokens: (one) => of(one).criterion.tokens(one.example),
    weights: (one) => withName(of(one).name, of(one).criterion.weights(one.example)),
    trainedTokens(one) {
      const { criterion } = of(one)
      return (
        criterion.trainedTokens?.(one.example) ??
        Object.values(criterion.weights(one.example)).reduce((sum, weight) => sum + weight, 0)
      )
    },
    collate(examples, how): JoinedBatch {
      const parts = tasks.flatMap((task, number): BatchPart[] => {
        const places = examples.flatMap(({ task: other }, place) => (other === number ? [place] : []))
        if (places.length === 0) return []
        const own = places.map((place) => examples[place].example)
        return [{ task, number, places, batch: task.criterion.collate(own, how) }]
      })
      const tokens = parts.reduce((sum, { batch }) => sum + batch.tokens, 0)
      // The loop sets what holds for all forward passes, such as recomputation, in the inputs of the batch.
      return { inputs: { ...parts[0].batch.inputs }, tokens, parts }
    },
    loss(_, batch, how) {
      const { parts, inputs } = batch as JoinedBatch
      const terms: LossTerm[] = []
      const metrics: Record<string, Metric> = {}
      const masks = currentDropout()
      const weights = currentLayerWeights()
      for (const { task, number, places, batch: own } of parts) {
        own.inputs.recompute = inputs.recompute
        own.inputs.recomputeIn = inputs.recomputeIn
        const result = withLayerWeights(weights?.part(number), () =>
          withDropout(masks?.part(number, places), () => task.criterion.loss(task.model, own, how)),
        )
        for (const term of result.terms)
          terms.push({ ...term, name: metricOfTask(task.name, term.name), scale: term.scale * task.scale })
        Object.assign(metrics, withName(task.name, result.metrics))
      }
      return { terms, metrics }
    },
    describe: (one, decode) => `${of(one).name}: ${of(one).criterion.describe(one.example, decode)}`,
  }
}

export interface OpenedTask {
  name: string
  /** The recipe of a run on this task alone. */
  recipe: FinetuneRecipe
  data: TrainingData
}

/** One body with a head for each task. */
export interface JoinedModel {
  /** All of it, for the training loop. */
  model: Model
  applied: AppliedAdapter
  /** The task whose head the adapter trains; the further heads are trained beside it. */
  main: string
  /** The body with the head of each task. */
  models: ReadonlyMap<string, Model>
  /** Every trained tensor by its path in `model`. */
  trained: Map<string, Tensor>
  /** Tasks whose head is randomly initialised. */
  newHeads: ReadonlySet<string>
  notes: string[]
}

/** Does something for a task, whose name errors then have. */
export const forTask = async <Result>(name: string, work: () => Promise<Result> | Result): Promise<Result> => {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TunesmithError) error.message = `The task ${name}: ${error.message}`
    throw error
  }
}

interface LoadedHead {
  /** Its body has no weights. */
  model: Model
  isNew: boolean
}

/** Frees the body that a head was loaded with; what the head shares with it stays. */
const freeBody = ({ body, head }: Model): void => {
  const kept = new Set(head.parameters().values())
  freeTensors([...body.parameters().values()].filter((tensor) => !kept.has(tensor)))
}

/**
 * The head of one task, in float32. Its body stays as the file stores it, as a mapping without memory of its own, and is freed here.
 * @throws ConfigError for an architecture without such a head
 */
const loadHead = ({ name, recipe, data }: OpenedTask): Promise<LoadedHead> =>
  forTask(name, async () => {
    const { base, start, head, headOptions } = data
    const { newHead, seed, dropout } = recipe
    const how = { head, headOptions, dropout, newHead, seed, device: 'cpu' }
    const { model, report } = await loadModelWithReport(base, how)
    model.head.to({ dtype: 'float32' })
    const hasOther = start !== undefined && !newHead && (await takeStartHead(model, start))
    freeBody(model)
    return { model, isNew: report.newHead.length > 0 && !hasOther }
  })

/** The task that the adapter is planned for: one that writes texts, as methods decide whether such a head is trained, else the first. */
const mainOf = (heads: ReadonlyMap<string, LoadedHead>): string => {
  const writing = [...heads].flatMap(([name, { model }]) => (model.head instanceof LanguageHead ? [name] : []))
  if (writing.length > 1)
    throw new ConfigError(
      `Expected at most one task that generates text, got ${writing.join(', ')}, which have one output layer. Mix their data in one task: \`data: ['a.jsonl', 'b.jsonl']\`, each with its own prompts.`,
    )
  return writing[0] ?? [...heads.keys()][0]
}

/** Whether the body of a model ends before the decoder. */
const isEncoderOnly = ({ definition, config, headType }: Model): boolean =>
  headEntry(definition, config, headType).encoderOnly ?? false

/** The head of a task over the body of the main one. @throws ConfigError for a head that needs another body */
const moveHead = async (
  { name }: OpenedTask,
  { model }: LoadedHead,
  main: Model,
  { precision, device, randomInit, seed }: MultitaskRecipe,
): Promise<Model> => {
  if (isEncoderOnly(model) !== isEncoderOnly(main))
    throw new ConfigError(
      `The task ${name}: Expected heads over the same body, got ${model.headType} beside ${main.headType}: one of them has no decoder. Train them in two runs.`,
    )
  const moved = await forTask(name, () => withHead(main, model.headType, model.headOptions))
  moved.head.to({ dtype: precision, device })
  const { initializerRange: std } = main.facts
  if (randomInit) moved.head.initialize({ std, generator: new Generator(seed) })
  else moved.head.loadState(model.head.parameters())
  moved.head.requireGrad(true)
  const source = sourceOf(model)
  if (source !== undefined) rememberSource(moved, source)
  return moved
}

/** The trained tensors of the adapter by their paths in the joined model. @throws ConfigError for an adapter in a head */
const trainedOf = ({ trainable, inPlace }: AppliedAdapter, main: string): Map<string, Tensor> => {
  const inHead = [...trainable.keys()].filter((path) => /^head\..*\.adapters\./.test(path))
  if (!inPlace && inHead.length > 0)
    throw new ConfigError(
      `Expected an adapter on the body, which all tasks share, got one in the head too: ${inHead[0]}. Choose \`adapter.targets\` in the body.`,
    )
  return new Map([...trainable].map(([path, tensor]) => [path.replace(/^head\./, `head.${main}.`), tensor]))
}

/** Loads the base with a head for each task, and puts the adapter on its body. @throws ConfigError, CheckpointError */
export const loadJoined = async (recipe: MultitaskRecipe, tasks: readonly OpenedTask[]): Promise<JoinedModel> => {
  const heads = new Map<string, LoadedHead>()
  for (const task of tasks) heads.set(task.name, await loadHead(task))
  const main = mainOf(heads)
  if ((recipe.adapter as { trainHead?: boolean }).trainHead === false)
    throw new ConfigError('Several tasks need heads that are trained: leave out `adapter.trainHead`.')
  const { recipe: own, data } = tasks.find(({ name }) => name === main) as OpenedTask
  const { applied, hasNewHead, notes } = await forTask(main, () =>
    loadAdaptedBase(own, { ...data, dropout: recipe.dropout }),
  )
  const models = new Map<string, Model>()
  const newHeads = new Set(hasNewHead ? [main] : [])
  const trained = trainedOf(applied, main)
  for (const task of tasks) {
    const { name } = task
    const head = heads.get(name) as LoadedHead
    const model = name === main ? applied.model : await moveHead(task, head, applied.model, recipe)
    models.set(name, model)
    freeTensors(head.model.head.parameters().values())
    if (name === main) continue
    for (const [path, tensor] of model.head.parameters()) trained.set(`head.${name}.${path}`, tensor)
    if (head.isNew || recipe.randomInit) newHeads.add(name)
  }
  return { model: joinHeads(Object.fromEntries(models)), applied, main, models, trained, newHeads, notes }
}

type AddTaskFiles = (name: string, folder: string) => Promise<void>

/** Writes the model of one task into a folder. @param body folder of another task, written before, whose body is the same */
export const saveTaskModel = async (
  recipe: MultitaskRecipe,
  { applied, main, models }: JoinedModel,
  base: string,
  name: string,
  { folder, body, addFiles }: { folder: string; body: string | undefined; addFiles(folder: string): Promise<void> },
): Promise<void> => {
  const model = models.get(name) as Model
  if (!applied.inPlace) return exportAdapter(recipe, base, applied, folder, addFiles, name === main ? undefined : model)
  await saveModel(model, folder, {
    tokenizer: recipe.tokenizer,
    addFiles,
    splitHead: true,
    ...(body === undefined ? {} : { sameBody: body }),
  })
}

export const writeTaskNames = (folder: string, tasks: readonly OpenedTask[]): Promise<void> =>
  writeFile(
    join(folder, modelFiles.tasks),
    `${JSON.stringify({ tasks: tasks.map(({ name, data }) => ({ name, task: data.task.type })) }, null, 2)}\n`,
  )

/** How checkpoints store the model: as a finished run does, and an adapter with the exact tensors beside it. */
export const joinedWeights = (
  recipe: MultitaskRecipe,
  joined: JoinedModel,
  tasks: readonly OpenedTask[],
  addFiles: AddTaskFiles,
): NonNullable<BuiltRun['weights']> => {
  const { base } = tasks[0].data
  const { applied, models, trained } = joined
  return {
    storesFrozen: applied.inPlace,
    async save(folder) {
      await mkdir(folder, { recursive: true })
      const [first] = tasks
      for (const { name } of tasks)
        await saveTaskModel(recipe, joined, base, name, {
          folder: join(folder, name),
          body: name === first.name ? undefined : join(folder, first.name),
          addFiles: (target) => addFiles(name, target),
        })
      await writeTaskNames(folder, tasks)
      if (!applied.inPlace) await saveSafetensors(join(folder, checkpointFiles.adapter), trained)
    },
    async load(folder) {
      if (applied.inPlace) {
        for (const [name, model] of models) await loadWeightsInto(model, join(folder, name))
        return
      }
      restoreTensors(trained, await openSafetensors(join(folder, checkpointFiles.adapter)))
    },
  }
}
