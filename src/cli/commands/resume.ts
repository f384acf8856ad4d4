// `tunesmith resume`: goes on with a run from its newest whole checkpoint. Knows nothing of what the run trains.
import { z } from 'zod'
import { resume as goOn } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { displayRun, renderRun } from '../parts/run-display.ts'

export const resume = defineCommand({
  name: 'resume',
  summary: 'Go on with a run that was stopped or killed, to the same bits as if it had not been',
  example: 'tunesmith resume runs/bert',
  arguments: [{ name: 'run', description: 'the folder of the run' }],
  options: z.strictObject({}),
  async run(_options, { run }, context) {
    const display = displayRun(context, { label: 'resuming' })
    try {
      return await goOn(run, display)
    } finally {
      display.stop()
    }
  },
  render: renderRun,
})
