// A table of any number of rows: only those in view are in the page.
import { type Signal, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export interface TableColumn<Row> {
  key: string
  title: string
  /** Whether only readers of the page hear the title. */
  isTitleHidden?: boolean
  /** Numbers are on the right. */
  number?: boolean
  cell(row: Row): ComponentChildren
  /** What the column is sorted by (default: it cannot be sorted). */
  sort?(row: Row): number | string | null
}

/** Rows of a table: a list, or rows that are loaded when they come into view. */
export type TableRows<Row> = Pick<readonly Row[], 'length' | 'slice'>

interface TableProps<Row> {
  label: string
  columns: readonly TableColumn<Row>[]
  rows: TableRows<Row>
  rowKey(row: Row): string
  /** A row to scroll to, from 0; set to undefined once it is done. */
  jump?: Signal<number | undefined>
  /** Pixels of a row; all rows have the same. */
  rowHeight?: number
  /** The order, where the page keeps it, such as in its address (default: the table keeps it). */
  order?: TableOrder
  onOrder?(order: TableOrder): void
}

/** The column by which rows are sorted, and whether the largest value comes first. */
export interface TableOrder {
  key: string
  down: boolean
}

const overscan = 10

/** Pixels of all rows: browsers draw nothing beyond some 33 million. Of more rows, scrolling skips some. */
const maxHeight = 30_000_000

const compare = (a: number | string | null, b: number | string | null): number => {
  if (a === b) return 0
  // Missing values come last in either order, which the caller relies on.
  if (a === null) return 1
  if (b === null) return -1
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))
}

export const VirtualTable = <Row,>({
  label,
  columns,
  rows,
  rowKey,
  jump,
  rowHeight = 34,
  ...kept
}: TableProps<Row>) => {
  const frame = useRef<HTMLDivElement>(null)
  const top = useSignal(0)
  const own = useSignal<TableOrder | undefined>(undefined)
  const order = kept.onOrder === undefined ? own.value : kept.order
  const by = columns.find(({ key }) => key === order?.key)?.sort
  const sign = order?.down ? -1 : 1
  const sorted =
    by === undefined
      ? rows
      : rows.slice(0).sort((a, b) => {
          const [x, y] = [by(a), by(b)]
          return (x === null || y === null ? 1 : sign) * compare(x, y)
        })
  const visible = Math.ceil((frame.current?.clientHeight ?? 800) / rowHeight)
  const height = Math.min(sorted.length * rowHeight, maxHeight)
  /** Pixels of scrolling for a row, which are fewer than its height in a table of millions. */
  const step = sorted.length === 0 ? rowHeight : height / sorted.length
  const first = Math.max(0, Math.min(sorted.length - visible, Math.floor(top.value / step)) - overscan)
  const last = Math.min(sorted.length, first + visible + 2 * overscan)
  const above = Math.min(first * step, height - (last - first) * rowHeight)
  useEffect(() => {
    const wanted = jump?.value
    if (wanted === undefined || wanted >= sorted.length || frame.current === null) return
    frame.current.scrollTop = wanted * step
    jump!.value = undefined
  })
  const toggle = (key: string) => {
    const next = { key, down: order?.key === key && !order.down }
    if (kept.onOrder === undefined) own.value = next
    else kept.onOrder(next)
  }
  return (
    <section
      class="scroll window virtual"
      ref={frame}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled area must be reachable by keyboard
      tabIndex={0}
      aria-label={label}
      onScroll={(event) => {
        top.value = event.currentTarget.scrollTop
      }}
    >
      <table aria-rowcount={sorted.length + 1}>
        <thead>
          <tr>
            {columns.map(({ key, title, isTitleHidden, number, sort }) => (
              <th
                key={key}
                class={number ? 'number' : undefined}
                scope="col"
                aria-sort={order?.key === key ? (order.down ? 'descending' : 'ascending') : undefined}
              >
                {sort === undefined ? (
                  <span class={isTitleHidden ? 'visually-hidden' : undefined}>{title}</span>
                ) : (
                  <button type="button" onClick={() => toggle(key)}>
                    {title}
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && (
            <tr>
              <td colSpan={columns.length} style={{ height: `${above}px`, padding: '0' }} />
            </tr>
          )}
          {sorted.slice(first, last).map((row, i) => (
            <tr key={rowKey(row)} aria-rowindex={first + i + 2} style={{ height: `${rowHeight}px` }}>
              {columns.map(({ key, number, cell }) => (
                <td key={key} class={number ? 'number' : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {last < sorted.length && (
            <tr>
              <td
                colSpan={columns.length}
                style={{ height: `${height - above - (last - first) * rowHeight}px`, padding: '0' }}
              />
            </tr>
          )}
        </tbody>
      </table>
    </section>
  )
}
