// Follows events.jsonl while a run writes it: each call reads what is new. Damaged lines are counted, not fatal, and a file that was cut
// back, replaced or removed is noticed.
import { open } from 'node:fs/promises'
import { eventFromLine, type TrainingEvent } from './event-types.ts'
import { type Line, readLines } from './events.ts'
import { type StepOutline, stepLines, stepOutlines } from './step-lines.ts'

/** A line that is no event. */
export interface DamagedLine {
  /** 1-based; null if reading began in the middle of the file. */
  line: number | null
  /** What was expected in its place. */
  expected: string
}

/** What a tail tells its owner. */
export interface TailListener {
  /** @param end bytes of the file up to the end of the event's line */
  onEvent(event: TrainingEvent, end: number): void
  /** Takes most steps in place of `onEvent`, with only some fields, which takes half of the time. */
  onOutline?(step: StepOutline): void
  onDamage(damage: DamagedLine): void
  /** What was read before is void: the file was cut back or replaced, and is read again from its start. */
  onRestart(): void
}

/** What a call of `read` found. */
export type TailState = 'unchanged' | 'read' | 'missing'

/** The reading position in one events.jsonl. */
export class EventTail {
  readonly path: string
  readonly #listener: TailListener
  readonly #steps = stepLines()
  readonly #outlines = stepOutlines()
  #end = 0
  #number = 0
  #numbered: boolean
  /** The last line that was read: if it is no longer there, the file is another one. */
  #last = ''
  #reading: Promise<TailState> | undefined
  #isStopped = false

  /** @param from end of a line, in bytes, after which reading begins */
  constructor(path: string, listener: TailListener, from = 0) {
    this.path = path
    this.#listener = listener
    this.#end = from
    this.#numbered = from === 0
  }

  /** Bytes of the lines that have been read. */
  get offset(): number {
    return this.#end
  }

  /** Reads the complete lines that are new. Calls at the same time share one reading. */
  read(): Promise<TailState> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** Ends a reading that is under way, as soon as it has taken what it has; the tail reads nothing afterwards. */
  stop(): void {
    this.#isStopped = true
  }

  async #read(): Promise<TailState> {
    const before = this.#end
    const size = await this.#checkedSize()
    if (size === undefined) return 'missing'
    if (size === this.#end) return this.#end === before ? 'unchanged' : 'read'
    for await (const lines of readLines(this.path, { end: this.#end, number: this.#number })) {
      if (this.#isStopped) break
      for (const line of lines) this.#take(line)
    }
    return this.#end === before ? 'unchanged' : 'read'
  }

  #take({ text, number, end }: Line): void {
    this.#end = end
    this.#number = number
    this.#last = text
    if (!this.#takeKnown(text, end)) this.#parse(text, number, end)
  }

  /** Takes a step of a layout that was learned. @returns whether the line is one */
  #takeKnown(text: string, end: number): boolean {
    const { onOutline } = this.#listener
    if (onOutline !== undefined) {
      const outline = this.#outlines.read(text)
      if (outline !== undefined) onOutline(outline)
      return outline !== undefined
    }
    const step = this.#steps.read(text)
    if (step !== undefined) this.#listener.onEvent(step, end)
    return step !== undefined
  }

  #parse(text: string, number: number, end: number): void {
    const read = eventFromLine(text)
    if ('event' in read) {
      const forms = this.#listener.onOutline === undefined ? this.#steps : this.#outlines
      forms.learn(read.event)
      this.#listener.onEvent(read.event, end)
    } else this.#listener.onDamage({ line: this.#numbered ? number : null, expected: read.fault })
  }

  /** The size of the file, after the position was set back if the file is no longer the one that was read. */
  async #checkedSize(): Promise<number | undefined> {
    const file = await open(this.path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
      throw error
    })
    if (file === undefined) return undefined
    try {
      const { size } = await file.stat()
      if (this.#end === 0) return size
      const wanted = Buffer.from(`${this.#last}\n`)
      const found = Buffer.alloc(wanted.length)
      const { bytesRead } = await file.read(found, 0, found.length, Math.max(0, this.#end - wanted.length))
      if (size >= this.#end && found.subarray(0, bytesRead).equals(wanted)) return size
      this.#end = 0
      this.#number = 0
      this.#numbered = true
      this.#last = ''
      this.#listener.onRestart()
      return size
    } finally {
      await file.close()
    }
  }
}
