// `evaluate --task ranked-choices`: which choice a language model finds likeliest, without training anything.
import { z } from 'zod'
import { ConfigError, formatCount, formatDuration, writeFileAtomic } from '../../core/index.ts'
import {
  evaluateRankedChoices,
  type RankedChoicesResult,
  type ReadReport,
  rankedChoicesSchema,
  type TaskDefinition,
  taskConfig,
  tasks,
} from '../../tasks/index.ts'
import { openLanguageModel } from '../parts/open-model.ts'
import { recordOptions } from './records.ts'
import { defineEvaluation } from './task.ts'

const { prompt, delimiter, maxLength } = rankedChoicesSchema.shape

export interface RankedChoicesReport extends Omit<RankedChoicesResult, 'predictions'> {
  records: number
  skipped: ReadReport['skipped']
  mainMetric: string
}

export const rankedChoices = defineEvaluation({
  type: 'ranked-choices',
  options: z.strictObject({ ...recordOptions.omit({ answers: true }).shape, prompt, delimiter, maxLength }),
  async run(
    { data, ...choice },
    { predictions: file, dataset, settings, ...how },
    context,
  ): Promise<RankedChoicesReport> {
    if (data.length !== 1) throw new ConfigError(`Expected one file or folder for \`--data\`, got ${data.length}.`)
    const task = tasks['multiple-choice']
    const config = taskConfig(task as unknown as TaskDefinition, settings, dataset)
    const { records, report } = await task.read(data[0], config as never, { signal: context.signal })
    const { model, tokenizer } = await openLanguageModel(choice, context)
    const progress = context.progress({ label: 'ranking choices', unit: 'records', total: records.length })
    try {
      const { predictions, ...result } = await evaluateRankedChoices(model, tokenizer, records, how, {
        signal: context.signal,
        onProgress: (done) => progress.update(done.records),
      })
      if (file !== undefined)
        await writeFileAtomic(file, predictions.map((prediction) => `${JSON.stringify(prediction)}\n`).join(''))
      return { records: records.length, skipped: report.skipped, mainMetric: 'accuracy', ...result }
    } finally {
      progress.stop()
    }
  },
  render: ({ records, metrics, cutRecords, seconds }) =>
    [
      ...Object.entries(metrics).map(
        ([name, { value, low, high }]) =>
          `${name.padEnd(20)} ${value.toFixed(4)}  [${low.toFixed(4)}, ${high.toFixed(4)}]`,
      ),
      ...(cutRecords === 0 ? [] : [`${formatCount(cutRecords)} prompts lost their beginning: the model takes no more`]),
      `${formatCount(records)} records in ${formatDuration(seconds * 1000)}`,
    ].join('\n'),
})
