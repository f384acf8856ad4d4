// Rows of batches from a process of their own, which ends when nobody has asked for a while.
import type { ChildProcess } from 'node:child_process'
import { NativeError, type PortableError, startProcess, unpackError } from '../../core/index.ts'
import type { BatchRows } from './batch-rows-types.ts'
import { recipeVersion } from './locate-batch.ts'

export interface BatchQuestion {
  id: number
  folder: string
  step: number
}

export type BatchAnswer = { id: number; rows: BatchRows } | { id: number; error: PortableError }

/** Milliseconds without a question after which the process ends and frees its model. */
const idleMs = 60_000

/** Batches whose rows are kept. */
const maxKept = 16

/** Reads the rows of batches in a process of its own. Call `close` at the end. */
export class BatchRowsProcess {
  #child: ChildProcess | undefined
  #waiting = new Map<number, { resolve(rows: BatchRows): void; reject(error: Error): void }>()
  #kept = new Map<string, BatchRows>()
  #next = 0
  #idle: NodeJS.Timeout | undefined

  /**
   * The rows of the batch of a step, as `BatchReader.read` gives them.
   * @param version of the run's events: rows that are kept are those of the same version, and of the same recipe
   */
  async read(folder: string, step: number, version: string | number): Promise<BatchRows> {
    const key = JSON.stringify([folder, step, version, await recipeVersion(folder)])
    const known = this.#kept.get(key)
    if (known !== undefined) return known
    const rows = await this.#ask(folder, step)
    this.#kept.set(key, rows)
    if (this.#kept.size > maxKept) this.#kept.delete(this.#kept.keys().next().value as string)
    return rows
  }

  #ask(folder: string, step: number): Promise<BatchRows> {
    clearTimeout(this.#idle)
    const child = (this.#child ??= this.#start())
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#waiting.set(id, { resolve, reject })
      // If it has ended, 'close' rejects.
      child.send({ id, folder, step } satisfies BatchQuestion, () => undefined)
    })
  }

  #start(): ChildProcess {
    const child = startProcess(new URL('./child.ts', import.meta.url), { stdio: ['ignore', 2, 2, 'ipc'] })
    child.on('message', (message: BatchAnswer) => {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if ('rows' in message) waiting?.resolve(message.rows)
      else waiting?.reject(unpackError(message.error))
      if (this.#waiting.size === 0) this.#idle = setTimeout(() => this.close(), idleMs).unref()
    })
    child.on('close', (code, killedBy) => {
      if (this.#child !== child) return
      this.#child = undefined
      const how = killedBy ?? `exit code ${code}`
      const error = new NativeError(
        `The process that reads batches ended with ${how}. ${killedBy === 'SIGKILL' ? 'The machine may have run out of memory.' : 'Try again.'}`,
      )
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
    child.unref()
    child.channel?.unref()
    return child
  }

  /** Ends the process. A later `read` starts another. */
  close(): void {
    clearTimeout(this.#idle)
    const child = this.#child
    this.#child = undefined
    child?.kill('SIGKILL')
    for (const { reject } of this.#waiting.values())
      reject(new NativeError('The process that reads batches was ended.'))
    this.#waiting.clear()
  }
}
