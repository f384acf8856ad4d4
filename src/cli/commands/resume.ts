// `tunesmith resume`: continues a run from its newest complete checkpoint, to its end or beyond. The work is `resume` of src/runs.
import { z } from 'zod'
import { resume as resumeRun } from '../../runs/index.ts'
import { budgetSchema } from '../../training/index.ts'
import { defineCommand } from '../command.ts'
import { displayRun, renderRun, runExitCode } from '../parts/run-display.ts'
import { watched, watchFields, watchFlagsOf } from '../parts/run-tracking.ts'

export const resume = defineCommand({
  name: 'resume',
  summary: 'Resume a run that was stopped or killed; the result is bit for bit the same as without the stop',
  example: 'tunesmith resume runs/bert',
  notes: ['A larger budget makes a run longer, a finished one too: --budget.steps 2000'],
  arguments: [{ name: 'run', description: 'folder of the run' }],
  processes: 'joined',
  options: z.strictObject({
    ...watchFields,
    budget: budgetSchema.optional().describe('new length of the run, which may have finished (default: its own)'),
  }),
  async run(options, { run }, context) {
    const display = displayRun(context, { label: 'Resuming' })
    const [flags, { budget }] = watchFlagsOf(options)
    try {
      return await watched(context, flags, (listener) => resumeRun(run, { budget, ...display, ...listener }))
    } finally {
      display.stop()
    }
  },
  render: renderRun,
  exitCode: runExitCode,
})
