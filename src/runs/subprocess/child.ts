// The subprocess of a run, which `run-in-subprocess.ts` starts: executes one run, sends its events as messages, and ends.
import { packError } from '../../core/index.ts'
import { enableStrictDevice } from '../../tensor/index.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'
import { startOf } from '../kinds.ts'
import { resume } from '../resume.ts'
import type { MessageFromSubprocess, MessageToSubprocess, SubprocessRun } from './run-in-subprocess.ts'

const aborter = new AbortController()
// Ctrl-C reaches every process of a terminal. The first one stops in order; a second one ends the parent, see `disconnect`.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => aborter.abort())
// When the terminal closes, the parent decides whether to stop: under `nohup` it goes on.
process.on('SIGHUP', () => {})
// The parent has ended: end as a killed run does, whose checkpoints are intact.
process.on('disconnect', () => process.exit(1))

const send = (message: MessageFromSubprocess): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, undefined, {}, () => resolve())
  })

let proceed: () => void = () => {}
let pauseAt = Number.POSITIVE_INFINITY
const listener: RunListener = {
  signal: aborter.signal,
  onPreFlight: (...args) =>
    new Promise<void>((resolve) => {
      proceed = resolve
      void send({ type: 'preFlight', args })
    }),
  onEvent: (event) => {
    void send({ type: 'event', args: [event] })
    // The loop sees the signal before its next step; the evaluation of this one comes first.
    const isWhole = event.type === 'step' || event.type === 'evaluation'
    if (isWhole && event.step >= pauseAt) aborter.abort()
  },
  onNote: (...args) => void send({ type: 'note', args }),
}

const begin = (run: SubprocessRun): Promise<RunResult> =>
  'folder' in run
    ? resume(run.folder, listener)
    : startOf((run.recipe as { command?: unknown }).command).start(run.recipe, listener)

process.on('message', async (message: MessageToSubprocess) => {
  if (message.type === 'go') proceed()
  else if (message.type === 'stop') aborter.abort()
  else {
    pauseAt = message.run.pauseAt ?? pauseAt
    try {
      if (message.strictDevice !== undefined) enableStrictDevice(message.strictDevice)
      await send({ type: 'result', result: await begin(message.run) })
    } catch (error) {
      await send({ type: 'error', error: packError(error) })
    }
    process.exit(0)
  }
})
