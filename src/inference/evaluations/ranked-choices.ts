// Evaluation of a language model on multiple-choice records without any training: which choice the model finds most likely.
import { z } from 'zod'
import { ConfigError, formatCount, formatDuration, writeFileAtomic } from '../../core/index.ts'
import {
  evaluateRankedChoices,
  findTask,
  type RankedChoicesResult,
  type ReadReport,
  rankedChoicesSchema,
  taskConfig,
  tasks,
} from '../../tasks/index.ts'
import { loadLanguageModel } from '../load.ts'
import { defineEvaluation, renderMetrics } from './evaluation.ts'
import { recordOptions } from './task-evaluations.ts'

const { prompt, delimiter, maxLength } = rankedChoicesSchema.shape

/** Accuracies with intervals, and what happened to the records. */
export interface RankedChoicesReport extends Omit<RankedChoicesResult, 'predictions'> {
  records: number
  skipped: ReadReport['skipped']
  mainMetric: string
}

export const rankedChoices = defineEvaluation({
  type: 'ranked-choices',
  options: z.strictObject({ ...recordOptions.omit({ answers: true }).shape, prompt, delimiter, maxLength }),
  async run(
    { data, recorded: _, ...choice },
    { predictions: file, dataset, settings, ...options },
    { onProgress, signal, group, ...hooks },
  ): Promise<RankedChoicesReport> {
    if (data.length !== 1) throw new ConfigError(`Expected one file or folder for \`data\`, got ${data.length}.`)
    const task = tasks['multiple-choice']
    const config = taskConfig(findTask(task.type), settings, dataset)
    const { records, report } = await task.read(data[0], config as never, { signal })
    const { model, tokenizer } = await loadLanguageModel(choice, hooks)
    const { predictions, ...result } = await evaluateRankedChoices(model, tokenizer, records, options, {
      signal,
      group,
      onProgress: ({ records: done, of }) => onProgress?.({ label: 'Ranking choices', unit: 'records', done, of }),
    })
    if (file !== undefined && group?.first !== false)
      await writeFileAtomic(file, predictions.map((prediction) => `${JSON.stringify(prediction)}\n`).join(''))
    return { records: records.length, skipped: report.skipped, mainMetric: 'accuracy', ...result }
  },
  render: ({ records, metrics, truncatedRecords, seconds }: RankedChoicesReport) =>
    [
      ...renderMetrics(metrics),
      ...(truncatedRecords === 0
        ? []
        : [`${formatCount(truncatedRecords)} prompts were truncated at the beginning to the model's context`]),
      `${formatCount(records)} records in ${formatDuration(seconds * 1000)}`,
    ].join('\n'),
})
