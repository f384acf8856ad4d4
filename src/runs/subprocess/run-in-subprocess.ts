// A run in a subprocess: its events arrive as messages, and its memory is returned when it ends. Independent of the kind of run.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { exists, NativeError, type PortableError, startProcess, unpackError } from '../../core/index.ts'
import { strictDeviceState } from '../../tensor/index.ts'
import { runFiles, runOwner } from '../../tracking/index.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'

/** A recipe to start, with `command` and `out`, or the folder of a run to resume. `pauseAt` is the step after which it is stopped, in order. */
export type SubprocessRun = ({ recipe: object } | { folder: string }) & { pauseAt?: number | undefined }

/** Messages to the subprocess; `go` answers a pre-flight. A run of tests has the strict device where its parent has it. */
export type MessageToSubprocess =
  | { type: 'run'; run: SubprocessRun; strictDevice?: { byDefault: boolean } | undefined }
  | { type: 'go' }
  | { type: 'stop' }

type ListenerArguments<Name extends 'onPreFlight' | 'onEvent' | 'onNote'> = Parameters<NonNullable<RunListener[Name]>>

/** Messages from the subprocess. */
export type MessageFromSubprocess =
  | { type: 'preFlight'; args: ListenerArguments<'onPreFlight'> }
  | { type: 'event'; args: ListenerArguments<'onEvent'> }
  | { type: 'note'; args: ListenerArguments<'onNote'> }
  | { type: 'result'; result: RunResult }
  | { type: 'error'; error: PortableError }

/** Time in which a run notices that its parent was killed. */
const orphanMs = 10_000

/** Waits until a run whose parent was killed has ended, which takes a step. */
const waitForOrphan = async (folder: string): Promise<void> => {
  for (let waited = 0; waited < orphanMs && (await runOwner(folder)) !== undefined; waited += 50) await setTimeout(50)
}

/**
 * Starts the run of a recipe in a subprocess, or resumes the one in its folder `out`.
 * @param pauseAt step after which it is stopped, in order
 * @throws as `startSubprocess`
 */
export const runInSubprocess = async (
  recipe: { out: string },
  listener: RunListener = {},
  pauseAt?: number,
): Promise<RunResult> => {
  const folder = recipe.out
  await waitForOrphan(folder)
  const hasRun = await exists(join(folder, runFiles.recipe))
  return startSubprocess({ ...(hasRun ? { folder } : { recipe }), pauseAt }, listener)
}

const send = (child: ChildProcess, message: MessageToSubprocess): void => {
  // A subprocess that has just ended is noticed by its event.
  if (child.connected) child.send(message, () => {})
}

/**
 * Starts or resumes a run in a subprocess and returns its result. An abort stops it in order.
 * @throws what the run throws; the signal's reason if it was stopped before it started; NativeError if its process was killed
 */
const startSubprocess = async (run: SubprocessRun, listener: RunListener = {}): Promise<RunResult> => {
  const { signal } = listener
  signal?.throwIfAborted()
  // What a library writes to stdout goes to stderr, as stdout is the program's.
  const child = startProcess(new URL('./child.ts', import.meta.url), {
    stdio: ['ignore', 2, 'inherit', 'ipc'],
  })
  const stop = () => send(child, { type: 'stop' })
  signal?.addEventListener('abort', stop)
  let outcome: { result: RunResult } | { error: unknown } | undefined
  const receive = async (message: MessageFromSubprocess): Promise<void> => {
    if (message.type === 'preFlight') {
      await listener.onPreFlight?.(...message.args)
      send(child, { type: 'go' })
    } else if (message.type === 'event') listener.onEvent?.(...message.args)
    else if (message.type === 'note') listener.onNote?.(...message.args)
    else if (message.type === 'result') outcome ??= message
    else outcome ??= { error: unpackError(message.error) }
  }
  child.on('message', (message: MessageFromSubprocess) => {
    receive(message).catch((error: unknown) => {
      outcome ??= { error }
      send(child, { type: 'go' })
      stop()
    })
  })
  send(child, { type: 'run', run, strictDevice: strictDeviceState() })
  try {
    // Not `exit`, after which messages may still arrive.
    const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (outcome === undefined) {
      signal?.throwIfAborted()
      throw new NativeError(
        `The subprocess of the run ended with ${killedBy ?? `exit code ${code}`}. ${killedBy === 'SIGKILL' ? 'The machine may have run out of memory: lower batch.microTokens.' : 'Start the run by itself to see more.'}`,
      )
    }
    if ('error' in outcome) throw outcome.error
    return outcome.result
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
