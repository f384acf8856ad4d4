// Specialists on each other's tasks: the scores of some runs, computed when a page asks for them, in a process of its own, and kept until the
// studio ends or the runs change.

import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { lowerPriority, type PortableError, startProcess, unpackError } from '../../../core/index.ts'
import { modelFiles, runFiles } from '../../../tracking/index.ts'
import { ApiError } from '../../http/errors.ts'
import type { MatrixProgress, MatrixState, SpecialistMatrix } from '../types/compare-types.ts'
import { fileVersion } from './recent.ts'

/** Runs whose models are scored on each other's tasks, on the first records of each. */
export interface MatrixRequest {
  folders: string[]
  limit: number
}

/** Any number of times progress, then the result or an error. */
export type MatrixMessage = { progress: MatrixProgress } | { matrix: SpecialistMatrix } | { error: PortableError }

/** Results that are kept. */
const maxKept = 16

const none: MatrixState = { state: 'none', progress: null, fault: null, matrix: null }

/** Computes one matrix at a time. */
export class MatrixWork {
  readonly #states = new Map<string, MatrixState>()
  #running: { key: string; child: ChildProcess } | undefined

  /** What is known about a matrix. */
  async state(folders: readonly string[]): Promise<MatrixState> {
    return this.#states.get(await keyOf(folders)) ?? none
  }

  /** Starts to compute a matrix. @throws ApiError while another one is computed */
  async start(request: MatrixRequest): Promise<MatrixState> {
    const key = await keyOf(request.folders)
    if (this.#running?.key === key) return this.#states.get(key) ?? none
    if (this.#running !== undefined)
      throw new ApiError(409, 'The scores of other runs are being computed. Wait for them, or stop them.', {
        code: 'matrix_busy',
      })
    const child = startProcess(new URL('./matrix-child.ts', import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#running = { key, child }
    this.#set(key, { ...none, state: 'running' })
    if (child.pid !== undefined) lowerPriority(child.pid)
    const end = (state: MatrixState) => {
      if (this.#running?.child !== child) return
      this.#running = undefined
      this.#set(key, state)
    }
    const fail = (fault: string) => end({ ...none, state: 'failed', fault })
    child.on('message', (message: MatrixMessage) => {
      if ('matrix' in message) end({ ...none, state: 'done', matrix: message.matrix })
      else if ('error' in message) fail(unpackError(message.error).message)
      else if (this.#running?.child === child) this.#set(key, { ...none, state: 'running', progress: message.progress })
    })
    child.on('error', ({ message }) => fail(message))
    child.once('exit', () => fail('The process that runs the models has ended. The machine may be out of memory.'))
    // A process that has ended cannot be sent to: `exit` tells it.
    child.send(request, () => undefined)
    return this.#states.get(key) ?? none
  }

  /** Stops computing a matrix. */
  async stop(folders: readonly string[]): Promise<MatrixState> {
    const key = await keyOf(folders)
    if (this.#running?.key === key) {
      this.#states.delete(key)
      this.close()
    }
    return this.#states.get(key) ?? none
  }

  /** Ends the process. */
  close(): void {
    this.#running?.child.kill('SIGKILL')
    this.#running = undefined
  }

  #set(key: string, state: MatrixState): void {
    this.#states.delete(key)
    this.#states.set(key, state)
    for (const old of [...this.#states.keys()].slice(0, -maxKept)) this.#states.delete(old)
  }
}

/** The runs and the versions of their evaluations: a run that was trained again has other scores. */
const keyOf = async (folders: readonly string[]): Promise<string> =>
  JSON.stringify(
    await Promise.all(
      folders.map(async (folder) => [folder, await fileVersion(join(folder, runFiles.model, modelFiles.evaluation))]),
    ),
  )
