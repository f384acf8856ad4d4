// A table whose cells the arrow keys walk over, with a line below it that says of a cell what its hint says with the mouse.
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Scroll } from './scroll.tsx'

interface CellGridProps {
  label: string
  /** Class of the table. */
  kind?: string
  /** Head and body. Data cells are `GridCell`s. */
  children: ComponentChildren
}

/** Rows and columns from a cell to the one that a key goes to; infinite to the first or the last. */
const moves: Record<string, readonly [rows: number, columns: number]> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  Home: [0, Number.NEGATIVE_INFINITY],
  End: [0, Number.POSITIVE_INFINITY],
}

const within = (value: number, count: number): number => Math.max(0, Math.min(count - 1, value))

const moveCell = (event: KeyboardEvent): void => {
  const move = moves[event.key]
  const cell = (event.target as Element).closest('td')
  const row = cell?.closest('tr')
  const rows = [...(row?.parentElement?.children ?? [])]
  if (move === undefined || cell === null || row === null || row === undefined) return
  const cellsOf = (index: number) => [...rows[index].querySelectorAll<HTMLElement>('td')]
  const next = within(rows.indexOf(row) + move[0], rows.length)
  const column = within(cellsOf(rows.indexOf(row)).indexOf(cell) + move[1], cellsOf(next).length)
  cellsOf(next)[column]?.focus()
  event.preventDefault()
}

export const CellGrid = ({ label, kind, children }: CellGridProps) => {
  const hint = useSignal('')
  return (
    <>
      <Scroll label={label}>
        <table
          class={kind}
          // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: the arrow keys walk over the cells, as in a grid
          role="grid"
          aria-label={label}
          onKeyDown={moveCell}
          onFocusIn={(event) => {
            hint.value = (event.target as Element).closest('td')?.title ?? ''
          }}
        >
          {children}
        </table>
      </Scroll>
      <p class="muted cell-hint" role="status">
        {hint.value}
      </p>
    </>
  )
}

interface GridCellProps {
  /** What the cell says on its own: of which row and column it is, and its value. */
  hint: string
  /** Whether it is the first, which the tab key goes to. */
  isFirst: boolean
  kind?: string
  background?: string
  children: ComponentChildren
}

export const GridCell = ({ hint, isFirst, kind = 'number', background, children }: GridCellProps) => (
  <td
    class={kind}
    title={hint}
    tabIndex={isFirst ? 0 : -1}
    {...(background === undefined ? {} : { style: { background } })}
  >
    {children}
  </td>
)
