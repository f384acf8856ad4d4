// The plan of a run, before it is paid for.
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { planRun } from '../../../runs/index.ts'
import { importsModules, startCommand } from '../../studio/new-run/start-run.ts'
import { defineTool } from '../tool.ts'

export const planTool = defineTool({
  name: 'plan_run',
  title: 'Plan a run',
  description:
    'Plan a training run without starting it: memory, FLOPs, time and cost, for the recipe and its alternatives. The recipe has the keys of run.json.',
  input: z.strictObject({
    command: startCommand.describe('kind of run'),
    recipe: z.record(z.string(), z.unknown()).describe('settings of the run, such as base, task, data and variant'),
    gpu: z.string().optional().describe('graphics card to plan for, such as h100'),
    count: z.int().positive().optional().describe('number of processes that share each batch, one for each card'),
    interconnect: z
      .string()
      .optional()
      .describe('network between the processes, such as infiniband-400 (default: that of up to 8 cards)'),
    pricePerHour: z
      .number()
      .positive()
      .optional()
      .describe('rent per hour of one machine, or of one card of `gpu`; `count` are paid'),
    story: z.boolean().default(false).describe('plan other methods and the pretraining of the base too'),
  }),
  run({ command, recipe, ...options }) {
    if (importsModules(recipe))
      throw new ConfigError(
        '`use` or `recipeFile` imports a module, which this tool does not do: run `plan` in a terminal.',
      )
    return planRun({ ...recipe, command }, options)
  },
})
