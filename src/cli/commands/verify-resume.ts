// `tunesmith verify-resume`: trains 2N steps, and N+N steps with a resume between, and compares every byte.
import { z } from 'zod'
import { verifyResume as prove, type ResumeProof } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { switchField } from '../parts/fields.ts'

export const verifyResume = defineCommand({
  name: 'verify-resume',
  summary: 'Verify that a run resumes exactly: 2N steps, and N+N steps with a resume, must give the same bytes',
  example: 'tunesmith verify-resume runs/bert --steps 5',
  arguments: [{ name: 'run', description: 'folder of the run, which is not changed' }],
  options: z.strictObject({
    steps: z.int().positive().default(5).describe('steps before and after the stop'),
    keep: switchField('keep the compared runs, in the subfolder verify-resume'),
  }),
  async run({ steps, keep }, { run }, context): Promise<ResumeProof> {
    const progress = context.progress({ label: 'Verifying', total: 4 * steps, unit: 'steps' })
    let done = 0
    try {
      return await prove(
        run,
        { steps, keep },
        {
          signal: context.signal,
          onEvent: ({ type }) => {
            if (type === 'step') progress.update(++done)
          },
        },
      )
    } finally {
      progress.stop()
    }
  },
  render: ({ steps, equal, different, sha256 }) =>
    equal
      ? `Equal: ${steps} steps without a stop and with a resume half-way give the same bytes (SHA-256 ${sha256.slice(0, 16)}…).`
      : `Not equal after ${steps} steps: ${different.join(', ')}.`,
  exitCode: ({ equal }) => (equal ? 0 : 1),
})
