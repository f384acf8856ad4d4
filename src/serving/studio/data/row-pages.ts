// Rows of records for the page: cut to what a table shows, and one row as it is.
import { setTimeout } from 'node:timers/promises'
import { cellLength, cutText, valueText, wholeLength } from '../shown-values.ts'
import type { DataRow, RowPage } from '../types/data-types.ts'
import type { RowStore, StoredRow } from './row-store.ts'
import type { SearchedText } from './text-search.ts'

/** Columns that are shown. */
const maxColumns = 100
/** Characters of one whole row. */
const rowLength = 2 ** 20

const shown = ({ index, place, bytes, values, damage, start = '' }: StoredRow, characters: number): DataRow => {
  if (values === undefined)
    return {
      index,
      place,
      bytes,
      damage: { message: damage ?? 'The row is damaged.', text: cutText(start, characters) },
    }
  let left = rowLength
  const cells = Object.entries(values)
    .slice(0, maxColumns)
    .map(([column, value]) => {
      const cell = cutText(valueText(value), Math.max(1, Math.min(characters, left)))
      left -= cell.text.length
      return [column, cell] as const
    })
  return { index, place, bytes, cells: Object.fromEntries(cells) }
}

/** Milliseconds that an answer waits for rows that are not known yet. */
const patience = 300
/** Milliseconds that an answer waits for one row, which may be the last of a large file. */
const wholePatience = 20_000

/** Waits for the rows before `end`, not for long. */
const awaitRows = async (store: RowStore, end: number, ms = patience, signal?: AbortSignal): Promise<void> => {
  const until = performance.now() + ms
  while (!store.complete && store.total < end && performance.now() < until && !signal?.aborted) {
    await setTimeout(25)
    await store.grow?.()
  }
}

/** Rows from an index on. */
export const rowPage = async (
  store: RowStore,
  { offset, limit, signal }: { offset: number; limit: number; signal: AbortSignal },
): Promise<RowPage> => {
  await awaitRows(store, offset + limit)
  const rows: DataRow[] = []
  for await (const row of store.rows(offset, offset + limit)) {
    if (signal.aborted) break
    rows.push(shown(row, cellLength))
  }
  const columns = new Set(rows.flatMap(({ cells }) => Object.keys(cells ?? {})))
  const { total, complete, share, problem } = store
  return {
    ...{ total, complete, rows },
    share: share ?? null,
    problem: problem ?? null,
    columns: [...columns].slice(0, maxColumns),
  }
}

/** One row with long texts; undefined for an index that the store does not have. */
export const wholeRow = async (store: RowStore, index: number, signal: AbortSignal): Promise<DataRow | undefined> => {
  await awaitRows(store, index + 1, wholePatience, signal)
  for await (const row of store.rows(index, index + 1)) return shown(row, wholeLength)
  return undefined
}

/** Every text of every row, for a search: those that are known when it gets there. */
export async function* rowTexts(store: RowStore): AsyncGenerator<SearchedText[]> {
  for (let from = 0; ; ) {
    // A file that is still looked at is waited for: its search ends with it, or with the time.
    while (!store.complete && store.total <= from) await awaitRows(store, from + 1)
    const to = store.total
    if (to <= from) return
    for await (const { index, values = {}, start } of store.rows(from, to))
      yield start === undefined
        ? Object.entries(values).map(([where, value]) => ({ number: index, where, text: valueText(value) }))
        : [{ number: index, where: 'damaged line', text: start }]
    from = to
  }
}
