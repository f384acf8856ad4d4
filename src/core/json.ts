// JSON text as a value, with one error text for all readers, and lines of JSON of any number. Independent of what the values mean.
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DataError } from './errors.ts'

/** Where a JSON text comes from, and what else to tell about a fault in it. */
export interface JsonOrigin {
  readonly path?: string
  /** 1-based line of the file when the text is one line of it. */
  readonly line?: number
  /** A sentence with what to do about the broken text; called only after a fault. */
  readonly advice?: (text: string) => string | undefined
}

/** JSON text as a value. @throws DataError with the path, and with the line where it is known */
export const parseJson = (text: string, origin?: JsonOrigin): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw jsonFault(text, (error as Error).message, origin)
  }
}

const jsonFault = (text: string, message: string, { path, line, advice }: JsonOrigin = {}): DataError => {
  const hint = advice?.(text)
  const sentence = `Expected JSON, got ${message}.${hint === undefined ? '' : ` ${hint}`}`
  return new DataError(sentence, path, line ?? lineOfFault(text, message))
}

/** The line that V8 names by its position; undefined for a text of one line. */
const lineOfFault = (text: string, message: string): number | undefined => {
  const position = / position (\d+)/.exec(message)?.[1]
  if (position === undefined || !text.includes('\n')) return undefined
  return text.slice(0, Number(position)).split('\n').length
}

const pieceBytes = 1 << 18

/** Items as lines of JSON, in pieces of many lines. */
export async function* jsonLines(items: Iterable<unknown>): AsyncGenerator<string, void, undefined> {
  let piece = ''
  for (const item of items) {
    piece += `${JSON.stringify(item)}\n`
    if (piece.length < pieceBytes) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

/** A file of lines that exists for this process alone: it has no name, so that a killed process leaves nothing. */
export class LineFile<Item> {
  readonly #file: number
  #waiting = ''
  #bytes = 0
  #isOpen = true

  /** @param folder on the disk that the file takes its space from */
  constructor(folder: string) {
    const path = join(folder, `.lines.${randomBytes(6).toString('hex')}.tmp`)
    this.#file = openSync(path, 'wx+')
    rmSync(path)
  }

  add(item: Item): void {
    this.#waiting += `${JSON.stringify(item)}\n`
    if (this.#waiting.length >= pieceBytes) this.#flush()
  }

  /** The bytes of all lines, in pieces. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    this.#flush()
    for (let at = 0; at < this.#bytes; ) {
      const piece = new Uint8Array(Math.min(pieceBytes, this.#bytes - at))
      const got = readSync(this.#file, piece, 0, piece.length, at)
      at += got
      yield piece.subarray(0, got)
    }
  }

  /** The items of all lines, in their order. */
  async *items(): AsyncGenerator<Item, void, undefined> {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const piece of this.pieces()) {
      const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
      rest = lines.pop() as string
      for (const line of lines) yield JSON.parse(line) as Item
    }
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#file)
  }

  #flush(): void {
    const bytes = Buffer.from(this.#waiting)
    this.#waiting = ''
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at, bytes.length - at, this.#bytes + at)
    this.#bytes += bytes.length
  }
}
