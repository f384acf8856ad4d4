// Evaluation of a model on a task's records: metrics with confidence intervals, and the predictions on request. One entry for each task.
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { resolveData } from '../../checkpoint/index.ts'
import { ConfigError, formatCount, formatDuration, LineFile, makeFolder, writeFileAtomic } from '../../core/index.ts'
import {
  anyTaskSettings,
  classNumberNote,
  evaluateRecords,
  evaluateTaskSchema,
  findTask,
  openRecords,
  type ReadReport,
  type TaskPrediction,
  type TaskSummary,
  taskConfig,
  taskTypes,
} from '../../tasks/index.ts'
import { loadForInference } from '../load.ts'
import { defineEvaluation, type EvaluationEntry, renderMetrics, renderSkipped } from './evaluation.ts'

/** Options of the evaluation of every task with records. */
export const recordOptions = z.strictObject({
  dataset: z.string().optional().describe('known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings
    .prefault({})
    .describe("the task's settings: columns, labels … (default: those of the specialist's fine-tuning)"),
  maxLength: evaluateTaskSchema.shape.maxLength.describe(
    "maximum tokens per example (default: as in fine-tuning, else the model's limit, up to 512 or the task's own limit)",
  ),
  answers: z
    .int()
    .nonnegative()
    .optional()
    .describe('generative tasks: generate answers for the first N records only, and score the perplexity of all'),
  predictions: z.string().optional().describe('file to write the predictions to, one JSON object per line'),
})

/** Metrics of a task with intervals, and what happened to the records. */
interface RecordsReport extends TaskSummary {
  records: number
  /** Records that could not be used, by reason. */
  skipped: ReadReport['skipped']
  /** What to know of the scores, in sentences, such as how labels were read. Absent where there is nothing. */
  notes?: string[]
}

/** Over which answers the metrics of answers are. */
const renderAnswered = (answered: number | undefined, records: number): string => {
  if (answered === undefined) return ''
  return answered === records
    ? ', all answered,'
    : `, answers for the first ${formatCount(answered)}, perplexity of all,`
}

/** Lines on the disk of a file, for its content. */
const linesBeside = async (file: string): Promise<LineFile<TaskPrediction>> => {
  const folder = dirname(resolve(file))
  await makeFolder(folder)
  return new LineFile(folder)
}

const evaluationOf = (type: string): EvaluationEntry => {
  const task = findTask(type)
  return defineEvaluation({
    type,
    options: recordOptions,
    async run(
      { data, recorded, ...choice },
      { predictions: file, dataset, settings, answers, maxLength = recorded?.maxLength },
      { onProgress, signal, group, ...hooks },
    ): Promise<RecordsReport> {
      if (data.length !== 1) throw new ConfigError(`Expected one file or folder for \`data\`, got ${data.length}.`)
      const config = taskConfig(task, settings, dataset, recorded?.settings)
      const { records, report } = await openRecords(task, await resolveData(data[0]), config, { signal })
      const { model, tokenizer } = await loadForInference(choice, { head: task.head, ...hooks })
      const seen = task.statistics.empty()
      const predictions = file === undefined || group?.first === false ? undefined : await linesBeside(file)
      try {
        const { result } = await evaluateRecords(
          model,
          tokenizer,
          task,
          records,
          config,
          {
            answers,
            maxLength,
            signal,
            group,
            onProgress: ({ examples, of }) =>
              onProgress?.({ label: `Evaluating ${type}`, unit: 'examples', done: examples, of }),
          },
          (record, prediction) => {
            if (task.labelCounts !== undefined) task.statistics.add(seen, record)
            predictions?.add(prediction)
          },
        )
        if (file !== undefined && predictions !== undefined) await writeFileAtomic(file, predictions.pieces())
        const note = classNumberNote(task.labelCounts?.(seen).keys() ?? [], model.headOptions.labels)
        return {
          records: records.length,
          skipped: report.skipped,
          ...(note === undefined ? {} : { notes: [note] }),
          ...result,
        }
      } finally {
        predictions?.close()
      }
    },
    render: ({ records, answered, skipped, notes = [], metrics, seconds }: RecordsReport) =>
      [
        ...renderMetrics(metrics),
        `${formatCount(records)} records${renderAnswered(answered, records)} in ${formatDuration(seconds * 1000)}`,
        ...renderSkipped(skipped),
        ...notes,
      ].join('\n'),
  })
}

const entries = new Map<string, EvaluationEntry>()

/** The entry of a task of the registry; undefined for another name. */
export const findTaskEvaluation = (type: string): EvaluationEntry | undefined => {
  if (!taskTypes().includes(type)) return undefined
  const entry = entries.get(type) ?? evaluationOf(type)
  entries.set(type, entry)
  return entry
}
