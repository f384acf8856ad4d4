// Evaluation of a language model on benchmarks by name: the tasks of lm-evaluation-harness, from data on this machine.
import { open } from 'node:fs/promises'
import { z } from 'zod'
import { resolveData } from '../../checkpoint/index.ts'
import { ConfigError, formatCount, formatDuration } from '../../core/index.ts'
import {
  benchmarkNames,
  evaluateHarness,
  findHarnessTasks,
  type HarnessTaskResult,
  harnessSchema,
  type ScoreIntervals,
} from '../../tasks/index.ts'
import { loadLanguageModel } from '../load.ts'
import { defineEvaluation } from './evaluation.ts'
import { recordOptions } from './task-evaluations.ts'

/** Metrics of each benchmark, with intervals. */
export interface HarnessReport {
  tasks: { [task: string]: HarnessTaskResult }
}

const shown = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(4))

const metricLines = (metrics: ScoreIntervals, indent: string): string[] =>
  Object.entries(metrics).map(
    ([name, { value, low, high }]) =>
      `${indent}${name.padEnd(26 - indent.length)} ${shown(value)}  [${shown(low)}, ${shown(high)}]`,
  )

const taskLines = (
  name: string,
  { metrics, groups = {}, examples, fewShot, truncated, unchecked = {}, seconds }: HarnessTaskResult,
): string[] => [
  `${name}: ${formatCount(examples)} examples, ${fewShot}-shot, ${formatDuration(seconds * 1000)}`,
  ...metricLines(metrics, '  '),
  ...Object.entries(groups).flatMap(([group, own]) => [`  ${group}`, ...metricLines(own, '    ')]),
  ...(truncated === 0
    ? []
    : [`  ${formatCount(truncated)} prompts were truncated at the beginning to the model's context`]),
  ...Object.entries(unchecked).map(([id, count]) => `  not checked: ${formatCount(count)} × ${id}`),
]

export const harness = defineEvaluation({
  type: 'harness',
  impliedBy: 'harness',
  options: z.strictObject({
    harness: z
      .array(z.string())
      .min(1)
      .optional()
      .describe(`benchmarks by name (${benchmarkNames().join(', ')}), or task files (.json, .ts)`),
    ...harnessSchema.shape,
    predictions: recordOptions.shape.predictions,
  }),
  async run(
    { data, recorded: _, ...choice },
    { harness: names, predictions, ...settings },
    { onProgress, signal, group, ...hooks },
  ): Promise<HarnessReport> {
    if (names === undefined)
      throw new ConfigError(
        `The task harness needs the names of benchmarks: set \`harness\`, for instance to ${benchmarkNames()[0]}.`,
      )
    const tasks = await findHarnessTasks(names)
    if (data.length > 1)
      throw new ConfigError(`Expected one folder with a folder for each task for \`data\`, got ${data.length}.`)
    const { model, tokenizer } = await loadLanguageModel(choice, hooks)
    const lines = predictions === undefined || group?.first === false ? undefined : await open(predictions, 'w')
    try {
      const found = await evaluateHarness(
        model,
        tokenizer,
        tasks,
        { folder: data[0], resolve: resolveData },
        settings,
        {
          signal,
          group,
          onProgress: ({ task, examples, of }) =>
            onProgress?.({ label: `Evaluating ${task}`, unit: 'examples', done: examples, of }),
          // Each task is on disk when it is done: what is killed later keeps it.
          onExamples: async (examples) => {
            await lines?.write(examples.map((example) => `${JSON.stringify(example)}\n`).join(''))
          },
        },
      )
      return { tasks: found }
    } finally {
      await lines?.close()
    }
  },
  render: ({ tasks }: HarnessReport) =>
    Object.entries(tasks)
      .flatMap(([name, one]) => taskLines(name, one))
      .join('\n'),
})
