// A process that answers one message after the other. It is started when it is asked, and ends when nobody asks for a while.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startProcess } from '../../../core/index.ts'

/** Settings of a process that answers. */
export interface AnsweringSettings {
  /** Milliseconds without a message after which the process ends. */
  idleMs: number
  /** Fires when the studio closes. */
  closed: AbortSignal
  /** Called with the id of a process that was started. */
  onStart?(pid: number): void
}

/** Asks a process. The next message must wait for the answer to the last. */
export class AnsweringProcess {
  readonly #file: URL
  readonly #settings: AnsweringSettings
  #child: ChildProcess | undefined
  #idle: NodeJS.Timeout | undefined

  /** @param file that the process runs, named with `.ts`; it sends one message for each that it gets */
  constructor(file: URL, settings: AnsweringSettings) {
    this.#file = file
    this.#settings = settings
    settings.closed.addEventListener('abort', () => this.#stop())
  }

  /** Id of the process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /**
   * The answer to a message; undefined if the process ended before it or took longer, and was then stopped.
   * @param limit milliseconds
   */
  async ask<Reply>(message: object, limit: number): Promise<Reply | undefined> {
    clearTimeout(this.#idle)
    const child = this.#child ?? this.#start()
    const done = new AbortController()
    const stop = () => done.abort()
    const timer = setTimeout(stop, limit)
    child.once('close', stop)
    try {
      // A process that has ended cannot be sent to: `close` tells it.
      child.send(message, () => undefined)
      const [reply] = (await once(child, 'message', { signal: done.signal })) as [Reply]
      return reply
    } catch {
      if (this.#child === child) this.#stop()
      return undefined
    } finally {
      clearTimeout(timer)
      child.off('close', stop)
      if (this.#child !== undefined) this.#idle = setTimeout(() => this.#stop(), this.#settings.idleMs).unref()
    }
  }

  #start(): ChildProcess {
    this.#settings.closed.throwIfAborted()
    const child = startProcess(this.#file, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child = child
    const forget = () => {
      if (this.#child === child) this.#child = undefined
    }
    child.once('exit', forget)
    // A process that could not be started has no exit.
    child.on('error', forget)
    if (child.pid !== undefined) this.#settings.onStart?.(child.pid)
    return child
  }

  #stop(): void {
    clearTimeout(this.#idle)
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }
}

/** Called by the file of such a process: answers each message, and ends with the studio. */
export const answerMessages = <Message>(answer: (message: Message) => Promise<object>): void => {
  process.on('disconnect', () => process.exit(0))
  // Ctrl-C in the terminal of the studio reaches this process too: the studio ends it.
  process.on('SIGINT', () => {})
  process.on('message', async (message: Message) => {
    process.send?.(await answer(message))
  })
}
