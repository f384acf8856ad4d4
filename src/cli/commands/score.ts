// `tunesmith score`: the official metrics of a task for predictions that any program made. The work is `score` of src/inference.
import { z } from 'zod'
import { formatCount, writeFileAtomic } from '../../core/index.ts'
import { type ScoreResult, score as scorePredictions } from '../../inference/index.ts'
import { anyTaskSettings, tasks } from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'
import { textField } from '../parts/fields.ts'
import { useField } from '../parts/model-flags.ts'
import { taskSchemas } from '../parts/recipe-choices.ts'

const names = Object.keys(tasks)

export const score = defineCommand({
  name: 'score',
  summary: "Score any program's predictions with a task's official metrics and confidence intervals",
  example: 'tunesmith score extractive-qa --dataset squad-v2 --references dev-v2.0.json --predictions predictions.json',
  arguments: [{ name: 'task', description: `task: ${names.join(', ')}` }],
  choices: () => [{ choice: 'task', part: 'settings', schemas: taskSchemas() }],
  processes: 'first',
  options: z.strictObject({
    use: useField.describe('packages or files to import first, which register their own tasks or metrics'),
    references: z.string().describe('file or folder with the references'),
    predictions: z
      .string()
      .describe(
        'file of predictions: JSON lines with id and prediction, JSON by id, separated values, CoNLL, or a line per record',
      ),
    against: textField('second predictions to compare with, tested for significance'),
    naProbabilities: textField('questions: JSON file with the probability of no answer, by id'),
    dataset: textField('known data set whose format the references have, such as sst2 or squad'),
    settings: anyTaskSettings.prefault({}).describe('columns and format of the references'),
    seed: z.int().default(0).describe('seed of the bootstrap'),
    resamples: z.int().positive().default(1000).describe('bootstrap resamples'),
    confidence: z.number().gt(0).lt(1).default(0.95).describe('confidence level of the intervals'),
    out: textField('file to write the result to, as JSON'),
  }),
  run: async ({ use: _, out, ...input }, { task }, { signal }): Promise<ScoreResult> => {
    const result = await scorePredictions({ task, ...input, signal })
    if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(result, null, 2)}\n`)
    return result
  },
  render({ records, skipped, metrics, mainMetric, differences, details }) {
    const width = Math.max(...Object.keys(metrics).map(({ length }) => length))
    const number = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(4))
    const lines = Object.entries(metrics).flatMap(([metric, { value, low, high }]) => {
      const difference = differences?.[metric]
      const line = `${metric === mainMetric ? '*' : ' '} ${metric.padEnd(width)}  ${number(value)} [${number(low)}, ${number(high)}]`
      if (difference === undefined) return [line]
      const sign = difference.value >= 0 ? '+' : ''
      const { randomization } = difference
      return [
        line,
        `    difference ${sign}${number(difference.value)} [${number(difference.low)}, ${number(difference.high)}], p ${number(randomization)}`,
      ]
    })
    const passed = Object.entries(skipped).map(
      ([reason, { count, first }]) => `  skipped: ${formatCount(count)} ${reason}, first: ${first}`,
    )
    // Some metrics are comparable only when computed with the same settings, which their signature names.
    const signatures = Object.entries(details).flatMap(([metric, detail]) => {
      const { signature } = (typeof detail === 'object' && detail !== null ? detail : {}) as { signature?: unknown }
      return signature === undefined ? [] : [`  ${metric.padEnd(width)}  ${signature}`]
    })
    return [`${formatCount(records)} records`, ...lines, ...signatures, ...passed].join('\n')
  },
})
