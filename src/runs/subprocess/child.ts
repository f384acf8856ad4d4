// The process of a run that `run-apart.ts` starts: takes one run, says what happens, and ends.
import { packError } from '../../core/index.ts'
import type { RunListener, RunResult } from '../engine/run-listener.ts'
import { startOf } from '../kinds.ts'
import { resume } from '../resume.ts'
import type { MessageFromSubprocess, MessageToSubprocess, SubprocessRun } from './run-in-subprocess.ts'

const aborter = new AbortController()
// Ctrl-C reaches every process of a terminal; twice, it ends the one that listens to us.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => aborter.abort())
// Nobody listens any more: an end like that of a killed run, whose checkpoints are whole.
process.on('disconnect', () => process.exit(1))

const say = (message: MessageFromSubprocess): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, undefined, {}, () => resolve())
  })

let go: () => void = () => {}
const listener: RunListener = {
  signal: aborter.signal,
  onPreFlight: (...said) =>
    new Promise<void>((resolve) => {
      go = resolve
      void say({ type: 'preFlight', said })
    }),
  onEvent: (...said) => void say({ type: 'event', said }),
  onNote: (...said) => void say({ type: 'note', said }),
}

const begin = (run: SubprocessRun): Promise<RunResult> =>
  'folder' in run
    ? resume(run.folder, listener)
    : startOf((run.recipe as { command?: unknown }).command).start(run.recipe, listener)

process.on('message', async (message: MessageToSubprocess) => {
  if (message.type === 'go') go()
  else if (message.type === 'stop') aborter.abort()
  else {
    try {
      await say({ type: 'result', result: await begin(message.run) })
    } catch (error) {
      await say({ type: 'error', error: packError(error) })
    }
    process.exit(0)
  }
})
