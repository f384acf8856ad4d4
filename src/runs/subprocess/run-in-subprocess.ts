// A run in a process of its own: what it says comes over as messages, and its memory is its own. Knows no kind of run.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { exists, NativeError, type PortableError, startProcess, unpackError } from '../../core/index.ts'
import { runFiles, runOwner } from '../../tracking/index.ts'
import type { RunListener, RunResult } from '../engine/run-listener.ts'

/** A recipe to begin with, `command` and `out` included, or the folder of a run to go on with. */
export type SubprocessRun = { recipe: object } | { folder: string }

/** To the run's process; `go` answers a pre-flight. */
export type MessageToSubprocess = { type: 'run'; run: SubprocessRun } | { type: 'go' } | { type: 'stop' }

type ListenerArguments<Name extends 'onPreFlight' | 'onEvent' | 'onNote'> = Parameters<NonNullable<RunListener[Name]>>

/** From the run's process. */
export type MessageFromSubprocess =
  | { type: 'preFlight'; said: ListenerArguments<'onPreFlight'> }
  | { type: 'event'; said: ListenerArguments<'onEvent'> }
  | { type: 'note'; said: ListenerArguments<'onNote'> }
  | { type: 'result'; result: RunResult }
  | { type: 'error'; error: PortableError }

/** How long a run may take to see that whoever started it was killed. */
const orphanMs = 10_000

/** A run that was left alone ends by itself within a step. */
const outlive = async (folder: string): Promise<void> => {
  for (let waited = 0; waited < orphanMs && (await runOwner(folder)) !== undefined; waited += 50) await setTimeout(50)
}

/** Begins the run of a recipe in a process of its own, or goes on with what is in its folder `out`. @throws as `runApart` */
export const runInSubprocess = async (recipe: { out: string }, listener: RunListener = {}): Promise<RunResult> => {
  const folder = recipe.out
  await outlive(folder)
  const begun = await exists(join(folder, runFiles.recipe))
  return runApart(begun ? { folder } : { recipe }, listener)
}

const send = (child: ChildProcess, message: MessageToSubprocess): void => {
  // One that has just ended says so by itself.
  if (child.connected) child.send(message, () => {})
}

/**
 * Begins a run, or goes on with one, and gives what it came to once its process has ended. An abort stops it in order.
 * @throws what the run throws; the signal's reason where it was stopped before it began; NativeError where its process was killed
 */
export const runApart = async (run: SubprocessRun, listener: RunListener = {}): Promise<RunResult> => {
  const { signal } = listener
  signal?.throwIfAborted()
  // stdout stays the program's own, whatever a library writes there.
  const child = startProcess(new URL('./child.ts', import.meta.url), {
    stdio: ['ignore', 2, 'inherit', 'ipc'],
  })
  const stop = () => send(child, { type: 'stop' })
  signal?.addEventListener('abort', stop)
  let outcome: { result: RunResult } | { error: unknown } | undefined
  const hear = async (message: MessageFromSubprocess): Promise<void> => {
    if (message.type === 'preFlight') {
      await listener.onPreFlight?.(...message.said)
      send(child, { type: 'go' })
    } else if (message.type === 'event') listener.onEvent?.(...message.said)
    else if (message.type === 'note') listener.onNote?.(...message.said)
    else if (message.type === 'result') outcome ??= message
    else outcome ??= { error: unpackError(message.error) }
  }
  child.on('message', (message: MessageFromSubprocess) => {
    hear(message).catch((error: unknown) => {
      outcome ??= { error }
      send(child, { type: 'go' })
      stop()
    })
  })
  send(child, { type: 'run', run })
  try {
    // Not `exit`: messages may still be on their way then.
    const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (outcome === undefined) {
      signal?.throwIfAborted()
      throw new NativeError(
        `Expected the run's process to say how it ended, got ${killedBy ?? `exit code ${code}`}. ${killedBy === 'SIGKILL' ? 'The machine may have run out of memory: lower batch.microTokens.' : 'Run it alone to see more.'}`,
      )
    }
    if ('error' in outcome) throw outcome.error
    return outcome.result
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
