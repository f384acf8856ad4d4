// A table of rows or documents of any number: pages come as they are scrolled to, a box jumps to a row, and a row opens below.
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo } from 'preact/hooks'
import { formatWhole } from '../../format.ts'
import { type LoadedRows, type PagedRow, Pages } from '../../parts/pages.ts'
import { type TableColumn, VirtualTable } from '../../parts/virtual-table.tsx'
import { queryWhole, setQuery } from '../../router.ts'

interface PagedRowsProps<Row> {
  label: string
  /** What the rows are, in the plural: `documents`. */
  noun: string
  /** Changes with what is loaded. */
  source: string
  load(offset: number, limit: number, signal: AbortSignal): Promise<LoadedRows<Row>>
  columns: readonly TableColumn<Row>[]
  /** Shown instead of the cells of a row, such as what is wrong with it. */
  wide?(row: Row): ComponentChildren | undefined
}

/** The row that the address names, from 0. */
export const openRow = (): number | undefined => {
  const row = queryWhole('row') ?? 0
  return row >= 1 ? row - 1 : undefined
}

/** Opens a row, or closes it. */
export const showRow = (index: number | undefined): void =>
  setQuery({ row: index === undefined ? undefined : String(index + 1) })

const JumpBox = ({ total, noun, onJump }: { total: number; noun: string; onJump(index: number): void }) => {
  const typed = useSignal('')
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault()
        const number = Number(typed.value)
        if (number >= 1) onJump(Math.min(number, total) - 1)
      }}
    >
      <label>
        Go to number{' '}
        <input
          type="number"
          min="1"
          max={String(Math.max(1, total))}
          aria-label={`Number of one of the ${noun}`}
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value
          }}
        />
      </label>
      <button type="submit">Go</button>
    </form>
  )
}

export const PagedRows = <Row,>({ label, noun, source, load, columns, wide }: PagedRowsProps<Row>) => {
  const jump = useSignal<number | undefined>(openRow())
  const pages = useMemo(() => new Pages(load), [source])
  useEffect(() => () => pages.close(), [pages])
  const cells = columns.map(
    ({ cell, sort: _, ...column }, i): TableColumn<PagedRow<Row>> => ({
      ...column,
      cell: ({ row }) => {
        if (row === undefined) return i === 0 ? '…' : ''
        const whole = wide?.(row)
        if (whole === undefined) return cell(row)
        return i === 0 ? whole : ''
      },
    }),
  )
  const number: TableColumn<PagedRow<Row>> = {
    key: '#',
    title: '#',
    cell: ({ index }) => (
      <button type="button" aria-label={`Open ${index + 1}`} onClick={() => showRow(index)}>
        {index + 1}
      </button>
    ),
  }
  const total = pages.total.value
  return (
    <div class="panel data-table">
      <div class="row spread">
        <span class="muted" role="status">
          {formatWhole(total)} {noun}
          {pages.complete.value || pages.error.value !== undefined ? '' : ', counting …'}
        </span>
        <JumpBox
          total={total}
          noun={noun}
          onJump={(index) => {
            jump.value = index
          }}
        />
      </div>
      {pages.error.value !== undefined && (
        <p class="error" role="alert">
          {pages.error.value}
        </p>
      )}
      <VirtualTable
        label={label}
        columns={[number, ...cells]}
        rows={pages}
        rowKey={({ index }) => String(index)}
        rowHeight={30}
        jump={jump}
      />
    </div>
  )
}
