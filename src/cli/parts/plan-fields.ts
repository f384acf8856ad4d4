// The flags of `plan pretrain`, `plan finetune` and `plan align` beside those of the run.
import { z } from 'zod'
import { acceleratorNames, interconnectNames } from '../../runs/index.ts'

/** Flags of a plan beside those of the run, or in their place. */
export const planFields = {
  out: z.string().default('runs/planned').describe('folder that the run would have; a plan writes nothing there'),
  gpu: z
    .string()
    .optional()
    .describe(`graphics card to plan for, by its data sheet: ${acceleratorNames.join(', ')}`),
  count: z
    .int()
    .positive()
    .optional()
    .describe('number of processes that share each batch, one for each graphics card or machine (default: 1)'),
  rank: z.int().nonnegative().optional().describe('number of the process whose memory is planned (default: 0)'),
  interconnect: z
    .string()
    .optional()
    .describe(
      `network between the processes: ${interconnectNames.join(', ')} (default: that of up to 8 cards of the data sheet)`,
    ),
  bandwidth: z
    .string()
    .optional()
    .describe('bits or bytes a second that a process sends while it receives, such as 100Gb or 12.5GB'),
  latency: z
    .number()
    .nonnegative()
    .optional()
    .describe('microseconds of one step of a ring with this bandwidth (default: 50)'),
  utilisation: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('share of the peak speed that training reaches (default: 0.4)'),
  measure: z
    .boolean()
    .default(false)
    .describe(
      'time steps of the run on this machine for some seconds, and remember the speed; of a run that writes its own answers, a rollout',
    ),
  story: z.boolean().default(true).describe('plan other methods and the pretraining of the base too'),
  pretrainingTokens: z.number().positive().optional().describe('tokens that the base is pretrained on'),
  pricePerHour: z.number().positive().optional().describe('rent per hour of one machine or `gpu`, of `count`'),
  watts: z.number().positive().optional().describe('power of one machine or `gpu`, of `count`'),
  pricePerKilowattHour: z.number().positive().optional().describe('price of energy'),
  fit: z.string().optional().describe('limits to stay within, such as memory=16GB,hours=8,money=50'),
  html: z.string().optional().describe('HTML file to write, with the table and the memory of each run'),
}
