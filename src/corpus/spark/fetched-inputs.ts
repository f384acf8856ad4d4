// Inputs whose bytes Spark reads and passes to the worker in rows: written to files of the node, from which sources read as from any other.

import { type FileHandle, mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { DataError } from '../../core/index.ts'
import type { InputFile } from '../build/inputs.ts'

/** A piece of the input: a group of small files, or one large file. */
export interface PieceTask {
  piece: number
  inputs: InputFile[]
}

/** The first field of such rows. */
export const fetchedMark = 'fetched'

/** Collects the rows of one piece after the other. The first row of a piece is its task, then come the bytes of each input in order. */
export class FetchedInputs {
  readonly #readTask: (text: string, line: number) => PieceTask
  readonly #use: (task: PieceTask) => Promise<void>
  #folder: string | undefined
  #task: PieceTask | undefined
  #open: { input: number; file: FileHandle } | undefined

  /** @param use called with each piece when its files are complete; they are removed afterwards */
  constructor(readTask: (text: string, line: number) => PieceTask, use: (task: PieceTask) => Promise<void>) {
    this.#readTask = readTask
    this.#use = use
  }

  /** @throws DataError for rows in another order */
  async add([, , input = '', , data = '']: readonly (string | undefined)[], line: number): Promise<void> {
    const number = Number(input)
    if (number < 0) {
      await this.finish()
      await this.#begin(this.#readTask(data, line))
      return
    }
    if (this.#task === undefined || this.#task.inputs[number] === undefined)
      throw new DataError(`Expected the task of a piece before its bytes, got input ${input}.`, 'rows on stdin', line)
    if (this.#open?.input !== number) {
      await this.#open?.file.close()
      this.#open = { input: number, file: await open(this.#placeOf(number), 'a') }
    }
    await this.#open.file.writeFile(Buffer.from(data, 'base64'))
  }

  /** Uses the last piece. */
  async finish(): Promise<void> {
    await this.#open?.file.close()
    this.#open = undefined
    const task = this.#task
    this.#task = undefined
    if (task !== undefined) await this.#use(task)
    await this.close()
  }

  /** Removes the files. */
  async close(): Promise<void> {
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }

  async #begin(task: PieceTask): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'tunesmith-inputs-'))
    this.#task = task
    for (const [number, input] of task.inputs.entries()) {
      if (input.location !== undefined) continue
      // A name says how its file is compressed to some readers.
      await mkdir(join(this.#folder, String(number)))
      input.location = this.#placeOf(number)
      // An empty file has no row.
      await (await open(input.location, 'w')).close()
    }
  }

  #placeOf(number: number): string {
    return join(this.#folder!, String(number), basename(this.#task!.inputs[number]!.path))
  }
}
