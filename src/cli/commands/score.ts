// `tunesmith score`: the official metrics of a task on anybody's predictions. Knows no task and runs no model.
import { z } from 'zod'
import { ConfigError, didYouMean, formatCount, writeFileAtomic } from '../../core/index.ts'
import {
  anyTaskSettings,
  type Difference,
  pairedDifferences,
  type ReadReport,
  readPredictions,
  type ScoreIntervals,
  scoreIntervals,
  type TaskDefinition,
  taskConfig,
  tasks,
} from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'

export interface ScoreResult {
  task: string
  records: number
  skipped: ReadReport['skipped']
  /** The metric that this task is mostly judged by. */
  mainMetric: string
  metrics: ScoreIntervals
  details: { [name: string]: unknown }
  /** Of `--predictions` and `--against`, where both were given. */
  differences?: { [metric: string]: Difference }
}

const names = Object.keys(tasks)

export const score = defineCommand({
  name: 'score',
  summary: "Judge anybody's predictions by a task's official metrics, with confidence intervals",
  example: 'tunesmith score extractive-qa --dataset squad-v2 --references dev-v2.0.json --predictions predictions.json',
  arguments: [{ name: 'task', description: names.join(', ') }],
  options: z.strictObject({
    references: z.string().describe('file or folder with what is right'),
    predictions: z
      .string()
      .describe(
        'JSON lines with an id and a prediction, JSON by id, separated values, CoNLL, or a line for each record',
      ),
    against: z.string().optional().describe('second predictions: says whether the first differ by more than chance'),
    naProbabilities: z
      .string()
      .optional()
      .describe('questions: JSON with the probability by id that there is no answer'),
    dataset: z.string().optional().describe('known data set whose settings the references have, such as sst2 or squad'),
    settings: anyTaskSettings(Object.values(tasks)).prefault({}).describe('columns and form of the references'),
    seed: z.int().default(0).describe('of the intervals'),
    resamples: z.int().positive().default(1000).describe('draws behind the intervals'),
    confidence: z.number().gt(0).lt(1).default(0.95).describe('of the intervals'),
    out: z.string().optional().describe('file to write the result to as JSON'),
  }),
  run: async (options, { task: name }, { signal }): Promise<ScoreResult> => {
    const { references, predictions, against, naProbabilities, dataset, settings, out, ...intervals } = options
    if (!Object.hasOwn(tasks, name))
      throw new ConfigError(
        `Expected one of ${names.join(', ')} for \`task\`, got "${name}".${didYouMean(name, names)}`,
      )
    const task = tasks[name as keyof typeof tasks] as TaskDefinition
    const config = taskConfig(task, settings, dataset)
    const { records, report } = await task.read(references, config, { signal })
    const said = await readPredictions(predictions, task, records, config, { noAnswer: naProbabilities })
    const judgement = task.score(records, said, config)
    const result: ScoreResult = {
      task: name,
      records: records.length,
      skipped: report.skipped,
      mainMetric: task.mainMetric(config),
      metrics: scoreIntervals(judgement, intervals),
      details: judgement.details(),
    }
    if (against !== undefined) {
      const other = await readPredictions(against, task, records, config)
      const both = task.score([...records, ...records], [...said, ...other], config)
      result.differences = pairedDifferences(both, intervals)
    }
    if (out !== undefined) await writeFileAtomic(out, `${JSON.stringify(result, null, 2)}\n`)
    return result
  },
  render({ records, skipped, metrics, mainMetric, differences, details }) {
    const width = Math.max(...Object.keys(metrics).map(({ length }) => length))
    const number = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(4))
    const lines = Object.entries(metrics).map(([metric, { value, low, high }]) => {
      const difference = differences?.[metric]
      const more =
        difference === undefined
          ? ''
          : `  difference ${difference.value >= 0 ? '+' : ''}${number(difference.value)} [${number(difference.low)}, ${number(difference.high)}], p ${number(difference.randomization)}`
      return `${metric === mainMetric ? '*' : ' '} ${metric.padEnd(width)}  ${number(value)} [${number(low)}, ${number(high)}]${more}`
    })
    const passed = Object.entries(skipped).map(
      ([reason, { count, first }]) => `  passed over: ${formatCount(count)} ${reason}, the first: ${first}`,
    )
    // Of metrics that are only comparable when computed alike.
    const signatures = Object.entries(details).flatMap(([metric, detail]) => {
      const { signature } = (typeof detail === 'object' && detail !== null ? detail : {}) as { signature?: unknown }
      return signature === undefined ? [] : [`  ${metric.padEnd(width)}  ${signature}`]
    })
    return [`${formatCount(records)} records`, ...lines, ...signatures, ...passed].join('\n')
  },
})
