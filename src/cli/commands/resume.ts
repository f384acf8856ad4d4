// `tunesmith resume`: continues a run from its newest complete checkpoint. The work is `resume` of src/runs.
import { z } from 'zod'
import { resume as resumeRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { displayRun, renderRun, runExitCode } from '../parts/run-display.ts'
import { watched, watchFields } from '../parts/run-tracking.ts'

export const resume = defineCommand({
  name: 'resume',
  summary: 'Resume a run that was stopped or killed; the result is bit for bit the same as without the stop',
  example: 'tunesmith resume runs/bert',
  arguments: [{ name: 'run', description: 'folder of the run' }],
  processes: 'joined',
  options: z.strictObject(watchFields),
  async run(flags, { run }, context) {
    const display = displayRun(context, { label: 'Resuming' })
    try {
      return await watched(context, flags, (listener) => resumeRun(run, { ...display, ...listener }))
    } finally {
      display.stop()
    }
  },
  render: renderRun,
  exitCode: runExitCode,
})
