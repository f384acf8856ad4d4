// `tunesmith plan pretrain`, `plan finetune` and `plan align`: what a run costs, with the flags of the command that it plans. The work is
// `planRun` of src/runs.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import {
  acceleratorNames,
  alignSchema,
  finetuneSchema,
  type Limits,
  planRun,
  pretrainSchema,
} from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderPlan } from '../parts/plan-display.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'

/** Flags of a plan beside those of the run. */
const planFields = {
  gpu: z
    .string()
    .optional()
    .describe(`graphics card to plan for, by its data sheet: ${acceleratorNames.join(', ')}`),
  count: z.int().positive().optional().describe('number of graphics cards'),
  utilisation: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('share of the peak speed that training reaches (default: 0.4)'),
  measure: z.boolean().default(false).describe('time two steps of the run on this machine, and remember the speed'),
  story: z.boolean().default(true).describe('plan other methods and the pretraining of the base too'),
  pretrainingTokens: z.number().positive().optional().describe('tokens that the base is pretrained on'),
  watts: z.number().positive().optional().describe('power of the machine'),
  pricePerKilowattHour: z.number().positive().optional().describe('price of energy'),
  fit: z.string().optional().describe('limits to find the largest run within, such as memory=16GB,hours=8,money=50'),
}

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

type PlanFlags = { fit?: string | undefined } & Record<string, unknown>

const split = (options: PlanFlags) => {
  const { gpu, count, utilisation, measure, story, pretrainingTokens, watts, pricePerKilowattHour, fit, ...recipe } =
    options
  const settings = { gpu, count, utilisation, measure, story, pretrainingTokens, watts, pricePerKilowattHour }
  return { recipe, settings: { ...settings, ...(fit === undefined ? {} : { fit: parseLimits(fit) }) } as object }
}

export const planPretrain = defineCommand({
  name: 'plan pretrain',
  summary: 'Plan a pretraining run: its memory, FLOPs, time and cost, without starting it',
  example:
    'tunesmith plan pretrain --model.type gpt2 --model.preset small --objective.type causal-lm --data shards --tokenizer tokenizer --out runs/gpt2 --budget.epochs 1 --gpu h100 --price-per-hour 3',
  options: pretrainSchema.extend(planFields),
  run(options) {
    const { recipe, settings } = split(options)
    return planRun({ ...recipe, command: 'pretrain' }, settings)
  },
  render: renderPlan,
})

export const planFinetune = defineCommand({
  name: 'plan finetune',
  summary: 'Plan a fine-tuning run and its alternatives, beside pretraining the base',
  example:
    'tunesmith plan finetune --base runs/bert --task sequence-classification --data reviews.jsonl --variant lora --out runs/stars --measure',
  options: finetuneSchema.extend(taskColumns).extend(planFields),
  run(options) {
    const { textColumn, pairColumn, labelColumn, ...rest } = options
    const { recipe, settings } = split(rest)
    const columns = withColumns(rest.task, { textColumn, pairColumn, labelColumn }, rest.settings)
    return planRun({ ...recipe, settings: columns, command: 'finetune' }, settings)
  },
  render: renderPlan,
})

export const planAlign = defineCommand({
  name: 'plan align',
  summary: 'Plan an alignment run and its alternatives, beside pretraining the base',
  example:
    'tunesmith plan align --objective dpo --base runs/chat --data preferences.jsonl --variant lora --out runs/aligned --gpu a100',
  options: alignSchema.extend(planFields),
  run(options) {
    const { recipe, settings } = split(options)
    return planRun({ ...recipe, command: 'align' }, settings)
  },
  render: renderPlan,
})
