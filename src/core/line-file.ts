// Lines of JSON of any number: written as they come, and read again one after the other. Does not know what is in them.
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

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
