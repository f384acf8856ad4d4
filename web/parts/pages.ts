// Rows of a table that are loaded in pages when they come into view, so that a table may have any number of them.
import { signal } from '@preact/signals'
import type { TableRows } from './virtual-table.tsx'

/** Some rows from an offset on. */
export interface LoadedRows<Row> {
  /** Rows in all, as far as they are known. */
  total: number
  complete: boolean
  rows: readonly Row[]
}

/** A row at its index, once it is loaded. */
export interface PagedRow<Row> {
  index: number
  row: Row | undefined
}

const pageSize = 100
/** Pages that are kept. */
const maxPages = 60
/** Milliseconds of rest after scrolling before pages are loaded. */
const restMs = 60
/** Milliseconds between two looks at rows that are still counted. */
const pollMs = 600

/** The rows behind a load function. Call `close` at the end. */
export class Pages<Row> implements TableRows<PagedRow<Row>> {
  readonly total = signal(0)
  readonly complete = signal(false)
  readonly error = signal<string | undefined>(undefined)
  readonly #version = signal(0)
  readonly #load: (offset: number, limit: number, signal: AbortSignal) => Promise<LoadedRows<Row>>
  readonly #pages = new Map<number, readonly Row[]>()
  #wanted: readonly number[] = [0]
  #timer: ReturnType<typeof setTimeout> | undefined
  #poll: ReturnType<typeof setTimeout> | undefined
  #loading = new AbortController()
  #closed = false

  constructor(load: (offset: number, limit: number, signal: AbortSignal) => Promise<LoadedRows<Row>>) {
    this.#load = load
    void this.#loadWanted()
  }

  get length(): number {
    return this.total.value
  }

  /** The rows of a range; those that are missing are loaded, unless another range is asked for before. */
  slice(first = 0, last = this.length): PagedRow<Row>[] {
    void this.#version.value
    const missing = new Set<number>()
    const rows: PagedRow<Row>[] = []
    for (let index = first; index < last; index++) {
      const page = Math.floor(index / pageSize)
      const row = this.#pages.get(page)?.[index % pageSize]
      if (row === undefined) missing.add(page)
      rows.push({ index, row })
    }
    if (missing.size > 0) this.#want([...missing])
    return rows
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    clearTimeout(this.#poll)
    this.#loading.abort()
  }

  #want(pages: readonly number[]): void {
    if (this.#closed || this.error.peek() !== undefined || pages.join() === this.#wanted.join()) return
    this.#wanted = pages
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#loadWanted(), restMs)
  }

  async #loadWanted(): Promise<void> {
    this.#loading.abort()
    this.#loading = new AbortController()
    const { signal } = this.#loading
    for (const page of this.#wanted)
      if (!(await this.#try(() => this.#load(page * pageSize, pageSize, signal), page, signal))) return
    this.#wanted = []
    this.#version.value++
    if (!this.complete.peek() && !this.#closed) this.#pollLater()
  }

  /** Rows that are still counted: asks for the number again. */
  #pollLater(): void {
    clearTimeout(this.#poll)
    this.#poll = setTimeout(async () => {
      const { signal } = this.#loading
      const done = await this.#try(() => this.#load(this.total.peek(), 1, signal), undefined, signal)
      if (done) this.#version.value++
      if (!this.complete.peek() && !this.#closed && this.error.peek() === undefined) this.#pollLater()
    }, pollMs)
  }

  async #try(load: () => Promise<LoadedRows<Row>>, page: number | undefined, signal: AbortSignal): Promise<boolean> {
    try {
      const { total, complete, rows } = await load()
      if (signal.aborted) return false
      if (page !== undefined) this.#keep(page, rows)
      this.total.value = total
      this.complete.value = complete
      return true
    } catch (error) {
      if (!signal.aborted) this.error.value = (error as Error).message
      return false
    }
  }

  #keep(page: number, rows: readonly Row[]): void {
    this.#pages.delete(page)
    this.#pages.set(page, rows)
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= maxPages) break
      this.#pages.delete(old)
    }
  }
}
