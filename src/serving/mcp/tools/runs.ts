// Tools that read, plan, start and stop runs. The user must allow those that start and stop them.
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { planRun } from '../../../runs/index.ts'
import { runFiles, stopRun } from '../../../tracking/index.ts'
import { importsModules, startCommand, startRun } from '../../studio/new-run/start-run.ts'
import { defineTool } from '../tool.ts'

const run = z.string().describe('run, as list_runs names it')

/** Events of each kind that are shown. */
const maxEvents = 20

export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description: 'List training runs, newest first: state, progress, loss, best score, time and cost of each.',
  input: z.strictObject({
    state: z.enum(['running', 'finished', 'interrupted', 'failed', 'damaged']).optional().describe('state of the runs'),
    limit: z.int().min(1).max(200).default(50).describe('maximum number of runs'),
  }),
  async run({ state, limit }, { runs }) {
    await runs.refresh({ scan: true })
    const rows = runs.rows.filter((row) => state === undefined || row.state === state)
    return { total: rows.length, runs: rows.slice(0, limit).map(({ spark: _, ...row }) => row) }
  },
})

export const showRun = defineTool({
  name: 'show_run',
  title: 'Show a run',
  description:
    'Show one run: its recipe with every setting, its run card, its last evaluations, events (incidents, checkpoints, notes) and samples, and damaged lines.',
  input: z.strictObject({ run }),
  async run({ run: id }, { runs }) {
    const entry = await runs.get(id)
    const { marks, evaluations, samples, damage } = entry.outline
    const { spark: _, ...row } = entry.row
    return {
      run: row,
      recipe: entry.recipe ?? null,
      card: (await entry.readJson(runFiles.card)) ?? null,
      evaluations: evaluations.slice(-maxEvents),
      events: marks.slice(-maxEvents),
      samples: samples.slice(-maxEvents),
      damage: damage.slice(0, maxEvents),
    }
  },
})

export const startTool = defineTool({
  name: 'start_run',
  title: 'Start a run',
  description:
    'Start a training run in a process of its own. The recipe has the keys of run.json, with `out` a new folder below the folders of runs. Plan it first with plan_run.',
  changes: true,
  input: z.strictObject({
    command: startCommand.describe('kind of run'),
    recipe: z.record(z.string(), z.unknown()).describe('settings that differ from their defaults'),
  }),
  run: ({ command, recipe }, { runs }) => startRun(runs, command, recipe),
})

export const stopTool = defineTool({
  name: 'stop_run',
  title: 'Stop a run',
  description:
    'Stop a run after its current step, as Ctrl-C does. It saves a checkpoint, from which it can be resumed.',
  changes: true,
  input: z.strictObject({ run: z.string().describe('run, as list_runs names it') }),
  async run({ run: id }, { runs }) {
    const entry = await runs.get(id)
    const answer = await stopRun(entry.folder)
    const isStopping = answer === 'sent' || answer === 'sent before' || runs.processes.interrupt(entry.folder)
    return { message: isStopping ? `${id} stops after its current step.` : `${id} is not running.` }
  },
})

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
