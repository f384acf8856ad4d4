// Tools that start and stop runs. The user must allow them.
import { z } from 'zod'
import { stopRun } from '../../../tracking/index.ts'
import { startCommand, startRun } from '../../studio/new-run/start-run.ts'
import { defineTool } from '../tool.ts'

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
