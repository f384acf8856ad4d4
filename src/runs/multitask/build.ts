// Builds a run of several tasks from its recipe: each task as a run on it alone would have it, over one body, in one
// stream of examples, with their scores as those of one run. Writes nothing before the end.
import { join } from 'node:path'
import { writeFolderAtomic } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import { scoresOf } from '../../tasks/index.ts'
import { isLowerBetter, metricOfTask } from '../../tracking/index.ts'
import type { TrainableModel } from '../../training/index.ts'
import { evaluateEachEpoch, setOptimization } from '../engine/optimization.ts'
import { restoreFunctions } from '../engine/recipe-functions.ts'
import { type BuildContext, type BuiltRun, type FinalScores, once, type RunKind } from '../engine/run-kind.ts'
import { hashesOf, type MixedSource, mixSources } from '../examples/run-data.ts'
import { type EncodedRecords, encodeRecords, openTrainingData } from '../finetune/data.ts'
import {
  evaluateFinally,
  evaluateSpecialist,
  predictLargest,
  type Specialist,
  writeSpecialist,
  writeTaskFiles,
} from '../finetune/export-specialist.ts'
import { finetuneComparison, regularized, setPriorBias } from '../finetune/finetune.ts'
import { expectWithinLimits } from '../finetune/several-sets.ts'
import {
  forTask,
  type JoinedModel,
  joinCriteria,
  joinedWeights,
  loadJoined,
  type OpenedTask,
  saveTaskModel,
  type TaggedTaskExample,
  writeTaskNames,
} from './joined-model.ts'
import { type MultitaskRecipe, multitaskSchema, recipeOfTask } from './recipe.ts'

/** The mean of the tasks' main metrics. */
export const meanMetric = 'mean'

interface TaskScores {
  name: string
  metrics: Record<string, number>
  mainMetric: string
}

/** The mean of the main metrics; undefined where a lower value of one of them is better, or one is not known. */
const meanOf = (tasks: readonly TaskScores[]): number | undefined => {
  const values = tasks.map(({ metrics, mainMetric }) => metrics[mainMetric])
  const isMean = tasks.every(({ mainMetric }, i) => !isLowerBetter(mainMetric) && values[i] !== undefined)
  return isMean ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined
}

/** The scores of all tasks by `task/metric`, with their mean. */
const joinScores = (tasks: readonly TaskScores[]): Record<string, number> => {
  const mean = meanOf(tasks)
  const own = tasks.flatMap(({ name, metrics }) =>
    Object.entries(metrics).map(([metric, value]): [string, number] => [metricOfTask(name, metric), value]),
  )
  return { ...(mean === undefined ? {} : { [meanMetric]: mean }), ...Object.fromEntries(own) }
}

const joinFinalScores = (tasks: readonly { name: string; scores: FinalScores }[]): FinalScores => {
  const partsOf = (of: (scores: FinalScores) => Record<string, number> | undefined) =>
    tasks.flatMap(({ name, scores }): TaskScores[] => {
      const metrics = of(scores)
      return metrics === undefined ? [] : [{ name, metrics, mainMetric: scores.mainMetric ?? '' }]
    })
  const metrics = joinScores(partsOf((scores) => scores.metrics))
  const [first] = tasks
  const mainMetric =
    metrics[meanMetric] === undefined ? metricOfTask(first.name, first.scores.mainMetric ?? '') : meanMetric
  const names = new Set(tasks.flatMap(({ scores }) => (scores.references ?? []).map(({ name }) => name)))
  // A reference that some tasks do not have has no mean over all. The evaluation of each task has its own.
  const references = [...names].flatMap((name) => {
    const theirs = partsOf((scores) => scores.references?.find((one) => one.name === name)?.metrics)
    const joined = joinScores(theirs)
    return joined[mainMetric] === undefined || (mainMetric === meanMetric && theirs.length < tasks.length)
      ? []
      : [{ name, metrics: joined }]
  })
  return {
    metrics,
    mainMetric,
    references,
    warnings: tasks.flatMap(({ name, scores }) => (scores.warnings ?? []).map((line) => `${name}: ${line}`)),
  }
}

interface BuiltTask extends OpenedTask {
  specialist: Specialist
  encoded: EncodedRecords
}

/** What the builds of a run share, below the name of a task. */
const contextOf = ({ shared, ...context }: BuildContext, name: string): BuildContext => ({
  ...context,
  ...(shared && { shared: { once: (what, make) => shared.once(`${name}/${what}`, make) } }),
})

const openTasks = async (recipe: MultitaskRecipe, context: BuildContext): Promise<OpenedTask[]> => {
  const tasks: OpenedTask[] = []
  for (const name of Object.keys(recipe.tasks)) {
    const own = recipeOfTask(recipe, name)
    const within = contextOf(context, name)
    tasks.push({
      name,
      recipe: own,
      data: await forTask(name, () => once(within, 'data', () => openTrainingData(own, within))),
    })
  }
  return tasks
}

const buildTask = async (task: OpenedTask, joined: JoinedModel, context: BuildContext): Promise<BuiltTask> => {
  const { name, recipe, data } = task
  const { applied, models, trained, newHeads } = joined
  const model = models.get(name) as Model
  const { inPlace, virtualTokens } = applied
  const isOwn = (path: string) => !path.startsWith('head.') || path.startsWith(`head.${name}.`)
  const parameterCount = [...trained].reduce((sum, [path, { size }]) => sum + (isOwn(path) ? size : 0), 0)
  const encoded = await forTask(name, () =>
    encodeRecords(recipe, data, { model, virtualTokens }, contextOf(context, name)),
  )
  const { prepared, targets, maxLength } = encoded
  if (recipe.priorBias && newHeads.has(name)) setPriorBias(model, trained.values(), prepared, targets)
  return {
    ...task,
    encoded,
    specialist: { recipe, data, applied: { model, inPlace, parameterCount }, prepared, maxLength },
  }
}

/** The examples of all tasks in one order. @throws ConfigError for limits that the budget exceeds */
const mixTasks = (recipe: MultitaskRecipe, tasks: readonly BuiltTask[]) => {
  const sources = tasks.map(({ name, encoded: { mixed } }, task): MixedSource<TaggedTaskExample> => {
    const { weight, maxEpochs = Number.POSITIVE_INFINITY } = recipe.tasks[name]
    const { source, most } = mixed
    const limit = Math.min(maxEpochs, most)
    return {
      name,
      weight,
      ...(Number.isFinite(limit) ? { maxEpochs: limit } : {}),
      source: {
        perEpoch: source.perEpoch,
        example(position) {
          const { example, cut } = source.example(position)
          return { example: { task, example, starts: example.starts }, cut }
        },
        place: (position) => source.place?.(position),
      },
    }
  })
  const mixed = mixSources(sources, { seed: recipe.seed, temperature: recipe.taskTemperature })
  expectWithinLimits(recipe.budget.epochs, mixed.most, 'task')
  return mixed
}

const evaluateTasks = async (
  tasks: readonly BuiltTask[],
  answers: number,
  options: Parameters<typeof evaluateSpecialist>[2] = {},
): Promise<Record<string, number>> => {
  const scores: TaskScores[] = []
  for (const { name, specialist } of tasks) {
    const result = await evaluateSpecialist(specialist, answers, options)
    scores.push({ name, metrics: scoresOf(result), mainMetric: result.mainMetric })
  }
  return joinScores(scores)
}

/** Writes a folder with a model for each task, and returns their final evaluations as one. */
const exportTasks = async (
  recipe: MultitaskRecipe,
  joined: JoinedModel,
  tasks: readonly BuiltTask[],
  folder: string,
): Promise<FinalScores> => {
  const done: { name: string; scores: FinalScores }[] = []
  await writeFolderAtomic(folder, async (target) => {
    const [first] = tasks
    for (const { name, specialist, data } of tasks) {
      const evaluated = await evaluateFinally(specialist, recipe.answers.atEnd)
      const body = name === first.name ? undefined : join(target, first.name)
      try {
        const scores = await writeSpecialist(specialist, join(target, name), { evaluated }, (own, addFiles) =>
          saveTaskModel(recipe, joined, data.base, name, { folder: own, body, addFiles }),
        )
        done.push({ name, scores })
      } finally {
        evaluated.draft.close()
      }
    }
    await writeTaskNames(target, tasks)
  })
  return joinFinalScores(done)
}

const buildMultitask = async (recipe: MultitaskRecipe, context: BuildContext): Promise<BuiltRun> => {
  await restoreFunctions(recipe)
  const opened = await openTasks(recipe, context)
  const joined = await loadJoined(recipe, opened)
  const tasks: BuiltTask[] = []
  for (const task of opened) tasks.push(await buildTask(task, joined, context))
  const { applied, models } = joined
  // The body, whose embeddings and matrices these are, is that of all tasks.
  const trainable = regularized<TaggedTaskExample>(recipe, applied, {
    model: joined.model,
    objective: joinCriteria(
      tasks.map(({ name, encoded: { prepared } }) => ({
        name,
        model: models.get(name) as Model,
        criterion: prepared.criterion,
        scale: recipe.tasks[name].scale,
      })),
    ),
    parameters: joined.trained,
  })
  const mixed = mixTasks(recipe, tasks)
  const stream: BuiltRun['stream'] = mixed.source
  const asTrained = trainable as TrainableModel
  const [{ data }] = tasks
  const { tokenizer, base, start } = data
  const { duringTraining } = recipe.answers
  const hashes = await once(context, 'hashes', () =>
    hashesOf([...new Set(tasks.flatMap((task) => task.data.files))], base, {
      start,
      stack: recipe.stack,
      known: Object.assign({}, ...tasks.map((task) => task.data.hashes)) as { [file: string]: string },
    }),
  )
  return {
    recipe: evaluateEachEpoch(recipe, asTrained, stream),
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    chatTemplate: tasks.map(({ encoded }) => encoded.prepared.generation?.template).find((one) => one !== undefined),
    vocabulary: vocabularyFacts(tokenizer),
    stream,
    ...setOptimization({ ...recipe, learningRate: recipe.learningRate ?? applied.learningRate }, asTrained, stream, {
      applied,
      group: context.group,
    }),
    weights: joinedWeights(recipe, joined, opened, (name, folder) =>
      writeTaskFiles((tasks.find((task) => task.name === name) as BuiltTask).specialist, folder),
    ),
    enoughSteps: 10,
    hashes,
    notes: [
      ...joined.notes,
      ...tasks.flatMap(({ name, data: { notes }, encoded }) =>
        [...notes, ...encoded.notes].map((line) => `${name}: ${line}`),
      ),
      ...mixed.notes,
    ],
    metrics: {
      known: [
        ...(recipe.keep.best === meanMetric ? [meanMetric] : []),
        ...tasks.map(({ name, data: { task, config } }) => metricOfTask(name, task.mainMetric(config))),
      ],
      measure: async () => Object.keys(await evaluateTasks(tasks, 1, { limit: 2 })),
    },
    evaluate: () => evaluateTasks(tasks, duringTraining, { group: context.group }),
    async evaluateLargest() {
      for (const { specialist } of tasks) await predictLargest(specialist, duringTraining)
    },
    exportModel: (folder) => exportTasks(recipe, joined, tasks, folder),
    // What is shared is closed by its owner.
    close: () => {
      if (context.shared !== undefined) return
      for (const { encoded, data: own } of tasks) {
        encoded.close()
        own.close()
      }
    },
  }
}

export const multitaskKind: RunKind<MultitaskRecipe> = {
  command: 'multitask',
  // The tasks of a recipe that was resolved are by name.
  schema: multitaskSchema as unknown as RunKind<MultitaskRecipe>['schema'],
  build: buildMultitask,
  parts: (recipe) =>
    Object.keys(recipe.tasks).map((name) => ({
      name,
      recipe: recipeOfTask(recipe, name),
      comparison: finetuneComparison,
    })),
}
