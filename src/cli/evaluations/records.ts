// `evaluate --task T` for every task of the registry that has records: scores with intervals, predictions on request. Knows no task.
import { z } from 'zod'
import { ConfigError, formatCount, formatDuration, writeFileAtomic } from '../../core/index.ts'
import {
  anyTaskSettings,
  evaluateTask,
  evaluateTaskSchema,
  type ReadReport,
  type TaskDefinition,
  type TaskResult,
  type TaskType,
  taskConfig,
  tasks,
} from '../../tasks/index.ts'
import { openForUse } from '../parts/open-model.ts'
import { defineEvaluation, type EvaluationTask } from './task.ts'

/** What is asked of every task with records. */
export const recordOptions = z.strictObject({
  dataset: z.string().optional().describe('a known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings(Object.values(tasks))
    .prefault({})
    .describe("the task's own settings: columns, labels …; those that a specialist was taught by unless given"),
  maxLength: evaluateTaskSchema.shape.maxLength.describe(
    'most tokens of an example; as many as a specialist was taught with, else what the model takes, up to 512 or what the task says, unless given',
  ),
  answers: z
    .int()
    .nonnegative()
    .optional()
    .describe(
      'tasks that write: the first so many records are answered, the others only weighed; all unless given, while finetune answers its `answers.end`, 100, at the end',
    ),
  predictions: z.string().optional().describe('file for the predictions, one JSON object a line'),
})

export interface RecordsReport extends Omit<TaskResult, 'predictions'> {
  records: number
  /** Records of the data that could not be used, by reason. */
  skipped: ReadReport['skipped']
}

const evaluationOf = (type: TaskType): EvaluationTask => {
  const task = tasks[type] as unknown as TaskDefinition
  return defineEvaluation<typeof recordOptions, RecordsReport>({
    type,
    options: recordOptions,
    async run(
      { data, taught, ...choice },
      { predictions: file, dataset, settings, answers, maxLength = taught?.maxLength },
      context,
    ) {
      if (data.length !== 1) throw new ConfigError(`Expected one file or folder for \`--data\`, got ${data.length}.`)
      const config = taskConfig(task, settings, dataset, taught?.settings)
      const { records, report } = await task.read(data[0], config, { signal: context.signal })
      const { model, tokenizer } = await openForUse(choice, context, { head: task.head })
      const progress = context.progress({ label: `evaluating ${type}`, unit: 'examples' })
      try {
        const { predictions, ...result } = await evaluateTask(model, tokenizer, task, records, config, {
          answers,
          maxLength,
          signal: context.signal,
          onProgress: ({ examples }) => progress.update(examples),
        })
        if (file !== undefined)
          await writeFileAtomic(file, predictions.map((prediction) => `${JSON.stringify(prediction)}\n`).join(''))
        return { records: records.length, skipped: report.skipped, ...result }
      } finally {
        progress.stop()
      }
    },
    render: ({ records, answered, skipped, metrics, seconds }) =>
      [
        ...Object.entries(metrics).map(
          ([name, { value, low, high }]) =>
            `${name.padEnd(20)} ${value.toFixed(4)}  [${low.toFixed(4)}, ${high.toFixed(4)}]`,
        ),
        `${formatCount(records)} records${answeredOf(answered, records)} in ${formatDuration(seconds * 1000)}`,
        ...Object.entries(skipped).map(
          ([reason, { count, first }]) => `passed over: ${formatCount(count)} ${reason}, the first: ${first}`,
        ),
      ].join('\n'),
  }) as unknown as EvaluationTask
}

/** Whose answers the scores of answers are over. */
const answeredOf = (answered: number | undefined, records: number): string => {
  if (answered === undefined) return ''
  return answered === records ? ', all answered,' : `, the first ${formatCount(answered)} answered, all weighed,`
}

/** An entry for each task. */
export const recordEvaluations: Record<string, EvaluationTask> = Object.fromEntries(
  (Object.keys(tasks) as TaskType[]).map((type) => [type, evaluationOf(type)]),
)
