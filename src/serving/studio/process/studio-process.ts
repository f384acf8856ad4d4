// A studio in a process of its own, so that its pages stay quick while this one computes.
import type { ChildProcess } from 'node:child_process'
import { type PortableError, startProcess, unpackError } from '../../../core/index.ts'
import type { StudioServerSettings } from '../create-studio.ts'

/** Settings of a studio in a process of its own. */
export type StudioProcessSettings = StudioServerSettings

/** Messages to the process; `end` tells its pages that the run has ended, then ends it. */
export type MessageToStudio = { type: 'start'; settings: StudioProcessSettings } | { type: 'end' }

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
  settings: StudioProcessSettings,
  { onError }: StudioProcessHooks,
): Promise<{ child: ChildProcess; url: string; port: number }> =>
  new Promise((resolve, reject) => {
    const child = startProcess(new URL('./studio-child.ts', import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.on('message', (message: MessageFromStudio) => {
      if (message.type === 'ready') resolve({ child, ...message })
      else if (message.type === 'error') reject(unpackError(message.error))
      else onError?.(message.text)
    })
    child.once('exit', (code, signal) => reject(new Error(`The studio ended with ${signal ?? `exit code ${code}`}.`)))
    child.send({ type: 'start', settings } satisfies MessageToStudio)
  })

/**
 * Starts a studio in a process of its own. If it is killed, it starts again on the same port, and its pages connect again.
 * @throws ConfigError as `createStudio`
 */
export const startStudioProcess = async (
  settings: StudioProcessSettings,
  hooks: StudioProcessHooks = {},
): Promise<StudioProcess> => {
  const first = await start(settings, hooks)
  const { url, port } = first
  let { child } = first
  let closing = false
  let restarts = 0
  const restart = async (): Promise<void> => {
    if (closing || restarts++ >= maxRestarts) return
    try {
      child = (await start({ ...settings, port }, hooks)).child
      watch()
    } catch (error) {
      hooks.onError?.(error)
    }
  }
  const watch = () => child.once('exit', () => void restart())
  watch()
  return {
    url,
    port,
    get processId() {
      return child.pid
    },
    async close() {
      closing = true
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      if (child.connected) child.send({ type: 'end' } satisfies MessageToStudio, () => undefined)
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    },
  }
}
