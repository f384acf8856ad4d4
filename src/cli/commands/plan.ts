// `tunesmith plan pretrain`, `plan finetune` and `plan align`: what a run costs, with the flags of the command that it plans. `plan RUN` and
// `plan calibrate` look at runs that were made. The work is that of src/runs.
import { z } from 'zod'
import { ConfigError, writeFileAtomic } from '../../core/index.ts'
import {
  alignSchema,
  calibratePlans,
  finetuneSchema,
  type Limits,
  planRun,
  pretrainSchema,
  type RunPlans,
  readRunPlan,
  renderPlanPage,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { planFields, renderCalibrations, renderPlan, renderStartedPlan } from '../parts/plan-display.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'

const units: Record<string, number> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 }

/** `memory=16GB,hours=8,money=50` as limits. @throws ConfigError for anything else */
export const parseLimits = (text: string): Limits => {
  const limits: Limits = {}
  for (const part of text.split(',')) {
    const [, name, number, unit] = /^(memory|hours|money)=(\d+(?:\.\d+)?)([KMGT]B)?$/.exec(part.trim()) ?? []
    if (name === undefined || (unit !== undefined && name !== 'memory'))
      throw new ConfigError(
        `Expected memory=BYTES, hours=NUMBER or money=NUMBER for \`fit\`, got ${part}. Write memory=16GB,hours=8.`,
      )
    limits[name as keyof Limits] = Number(number) * units[unit ?? '']
  }
  return limits
}

/** `100Gb` or `12.5GB` as bytes a second. @throws ConfigError for anything else */
export const parseBandwidth = (text: string): number => {
  const [, number, unit, kind] = /^(\d+(?:\.\d+)?)([KMGT])(b|B)$/.exec(text.trim()) ?? []
  if (number === undefined || Number(number) === 0)
    throw new ConfigError(
      `Expected gigabits (100Gb) or gigabytes (12.5GB) a second for \`bandwidth\`, got ${text}. Write the unit.`,
    )
  return (Number(number) * units[`${unit}B`]) / (kind === 'b' ? 8 : 1)
}

interface PlanFlags extends Record<string, unknown> {
  fit?: string | undefined
  html?: string | undefined
  bandwidth?: string | undefined
  latency?: number | undefined
}

/** Plans the run of a command line, and writes the page. */
const planned = async (command: string, options: PlanFlags): Promise<RunPlans & { html?: string }> => {
  const { gpu, count, rank, interconnect, bandwidth, latency, utilisation, measure, ...others } = options
  const { story, pretrainingTokens, watts, pricePerKilowattHour, fit, html, ...recipe } = others
  const plans = await planRun({ ...recipe, command }, {
    ...{ gpu, count, rank, interconnect, utilisation, measure, story },
    ...{ pretrainingTokens, watts, pricePerKilowattHour },
    ...(bandwidth !== undefined && { bandwidth: parseBandwidth(bandwidth) }),
    ...(latency !== undefined && { latency: latency / 1e6 }),
    ...(fit !== undefined && { fit: parseLimits(fit) }),
  } as object)
  if (html === undefined) return plans
  await writeFileAtomic(html, renderPlanPage(plans))
  return { ...plans, html }
}

export const planPretrain = defineCommand({
  name: 'plan pretrain',
  summary: 'Plan a pretraining run: its memory, FLOPs, time and cost, without starting it',
  example:
    'tunesmith plan pretrain --model.type gpt2 --model.preset small --objective.type causal-lm --data shards --tokenizer tokenizer --out runs/gpt2 --budget.epochs 1 --gpu h100 --price-per-hour 3',
  processes: 'first',
  options: pretrainSchema.extend(planFields),
  run: (options) => planned('pretrain', options),
  render: renderPlan,
})

export const planFinetune = defineCommand({
  name: 'plan finetune',
  summary: 'Plan a fine-tuning run and its alternatives, beside pretraining the base',
  example:
    'tunesmith plan finetune --base runs/bert --task sequence-classification --data reviews.jsonl --variant lora --out runs/stars --measure',
  processes: 'first',
  options: finetuneSchema.extend(taskColumns).extend(planFields),
  run: async (options) => planned('finetune', withColumns(options)),
  render: renderPlan,
})

export const planAlign = defineCommand({
  name: 'plan align',
  summary: 'Plan an alignment run and its alternatives, beside pretraining the base',
  example:
    'tunesmith plan align --objective dpo --base runs/chat --data preferences.jsonl --variant lora --out runs/aligned --gpu a100',
  processes: 'first',
  options: alignSchema.extend(planFields),
  run: (options) => planned('align', options),
  render: renderPlan,
})

export const planOfRun = defineCommand({
  name: 'plan',
  summary: 'Show what a run was predicted to take, beside what it took',
  example: 'tunesmith plan runs/stars',
  notes: [
    'Runs that do not exist yet: `plan pretrain`, `plan finetune` and `plan align`, with the flags of the command, or `--dry-run` there.',
    '`plan calibrate` learns the speed of this machine from finished runs; `plan scaling` predicts losses from small runs.',
  ],
  arguments: [{ name: 'run', description: 'folder of the run' }],
  processes: 'first',
  options: z.strictObject({}),
  run: (_options, { run }) => readRunPlan(run),
  render: renderStartedPlan,
})

export const planCalibrate = defineCommand({
  name: 'plan calibrate',
  summary: 'Learn from finished runs how fast this machine trains and how much memory a process takes beside its plan',
  example: 'tunesmith plan calibrate runs/bert runs/stars',
  arguments: [{ name: 'runs', description: 'folders of finished runs of this machine', variadic: true }],
  processes: 'first',
  options: z.strictObject({}),
  run: (_options, { runs }) => calibratePlans(runs),
  render: renderCalibrations,
})
