// `predict` of models that a task made: what the task says of a text. Knows no task: an entry hands it the one.
import { z } from 'zod'
import type { HeadOptions } from '../../models/index.ts'
import { predictTask, type TaskDefinition, taskConfig, tasks } from '../../tasks/index.ts'
import { askingOptions, definePrediction, taughtOf } from './prediction.ts'

type Chosen = { task: TaskDefinition; settings?: Record<string, unknown> }

/** @param choose the task, and its settings, that a head with these options was trained on */
const asking = (choose: (options: HeadOptions) => Chosen) =>
  definePrediction({
    options: z.strictObject(askingOptions),
    async predict(ready, text, { maxLength }) {
      const { model, tokenizer } = ready
      const { task, settings } = choose(model.headOptions)
      const written = await taughtOf(ready)
      const taught = written?.task === task.type ? written : undefined
      const config = taskConfig(task, settings, undefined, taught?.settings)
      const length = maxLength ?? taught?.maxLength
      const records = [task.ask({ text }, '0', config)]
      const { predictions } = await predictTask(model, tokenizer, task, records, config, { maxLength: length })
      const { id: _, ...said } = predictions[0]
      const parts: { tokens?: readonly string[] } = task.parts?.(records[0]) ?? {}
      return { text, ...parts, ...said }
    },
    render: ({ text, tokens, ...said }) => `${text}\n  ${describeAnswer(said, tokens)}`,
  })

const shownShares = 5

/**
 * `label positive (positive 93.1 %, negative 6.9 %)`: what is said, and the likeliest of what could have been.
 * `tags Paris/B-location is/O`: of parts, beside each what is said of it.
 */
const describeAnswer = ({ probabilities, ...said }: { [name: string]: unknown }, parts?: readonly string[]): string => {
  const listed = (values: readonly unknown[]) =>
    parts?.length === values.length ? values.map((value, i) => `${parts[i]}/${value}`) : values
  const answers = Object.entries(said).map(
    ([name, value]) => `${name} ${Array.isArray(value) ? listed(value).join(' ') : value}`,
  )
  const shares = Object.entries((probabilities ?? {}) as { [label: string]: number })
    .sort(([, a], [, b]) => b - a)
    .slice(0, shownShares)
    .map(([label, share]) => `${label} ${(100 * share).toFixed(1)} %`)
  return `${answers.join(', ')}${shares.length === 0 ? '' : ` (${shares.join(', ')})`}`
}

const any = (task: unknown) => task as TaskDefinition

const byProblem: Record<HeadOptions['problemType'], Chosen> = {
  'single-label': { task: any(tasks['sequence-classification']) },
  'multi-label': { task: any(tasks['sequence-classification']), settings: { multiLabel: true } },
  regression: { task: any(tasks.regression) },
}

export const classify = asking(({ problemType }) => byProblem[problemType])
export const tag = asking(() => ({ task: any(tasks['token-classification']) }))
