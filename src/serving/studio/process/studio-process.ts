// A studio in a process of its own, so that its pages stay quick while this one computes.
import type { ChildProcess } from 'node:child_process'
import { type PortableError, startProcess, unpackError } from '../../../core/index.ts'
import type { StudioServerSettings } from '../studio-app.ts'

/** Messages to the process; `end` tells its pages that the run has ended, then ends it. */
export type MessageToStudio = { type: 'start'; settings: StudioServerSettings } | { type: 'end' }

/** Messages from the process. */
export type MessageFromStudio =
  | { type: 'ready'; url: string; port: number }
  | { type: 'error'; error: PortableError }
  | { type: 'fault'; text: string }

/** A studio that runs beside this process. */
export interface StudioProcess {
  readonly url: string
  readonly port: number
  /** Id of the process, which changes when it was killed and started again. */
  readonly processId: number | undefined
  /** Tells its pages, and ends it. */
  close(): Promise<void>
}

/** Called while a studio runs. */
export interface StudioProcessHooks {
  onError?(error: unknown): void
}

/** A studio that is killed is started again this number of times. */
const maxRestarts = 5

const start = (
  settings: StudioServerSettings,
  { onError }: StudioProcessHooks,
): { child: ChildProcess; ready: Promise<{ url: string; port: number }> } => {
  const child = startProcess(new URL('./studio-child.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ready = new Promise<{ url: string; port: number }>((resolve, reject) => {
    child.on('message', (message: MessageFromStudio) => {
      if (message.type === 'ready') resolve(message)
      else if (message.type === 'error') reject(unpackError(message.error))
      else onError?.(message.text)
    })
    // A process that could not be started has no exit.
    child.on('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`The studio ended with ${signal ?? `exit code ${code}`}.`)))
    // If it has ended, `exit` tells it.
    child.send({ type: 'start', settings } satisfies MessageToStudio, () => undefined)
  })
  return { child, ready }
}

/**
 * Starts a studio in a process of its own. If it is killed, it starts again on the same port, and its pages connect again.
 * @throws ConfigError as `createStudio`
 */
export const startStudioProcess = async (
  settings: StudioServerSettings,
  hooks: StudioProcessHooks = {},
): Promise<StudioProcess> => {
  const first = start(settings, hooks)
  const { url, port } = await first.ready
  let { child } = first
  let closing = false
  let restarts = 0
  const watch = () => child.once('exit', restart)
  const restart = (): void => {
    if (closing || restarts++ >= maxRestarts) return
    const next = start({ ...settings, port }, hooks)
    // At once, so that `close` ends it while it starts too.
    child = next.child
    next.ready.then(watch, (error: unknown) => {
      if (!closing) hooks.onError?.(error)
    })
  }
  watch()
  return {
    url,
    port,
    get processId() {
      return child.pid
    },
    async close() {
      closing = true
      // Without an id, it could not be started.
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      if (child.connected) child.send({ type: 'end' } satisfies MessageToStudio, () => undefined)
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    },
  }
}
