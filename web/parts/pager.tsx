// The way through a list that the server sends page by page.
interface PagerProps {
  from: number
  /** Rows on this page. */
  shown: number
  total: number
  size: number
  /** What the rows are: `answers`. */
  noun: string
  onFrom(from: number): void
}

export const Pager = ({ from, shown, total, size, noun, onFrom }: PagerProps) => (
  <div class="row">
    <button type="button" disabled={from === 0} onClick={() => onFrom(Math.max(0, from - size))}>
      Previous
    </button>
    <span class="muted" role="status">
      {total === 0 ? `No ${noun}` : `${from + 1}–${from + shown} of ${total} ${noun}`}
    </span>
    <button type="button" disabled={from + shown >= total} onClick={() => onFrom(from + size)}>
      Next
    </button>
  </div>
)
