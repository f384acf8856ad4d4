// A text with spans of it marked, each with its kind.
import { curveVariable } from '../../theme.ts'

export interface Span {
  start: number
  end: number
  kind: string
}

/** Spans that overlap an earlier one are left out. */
export const MarkedText = ({ text, spans }: { text: string; spans: readonly Span[] }) => {
  // Colours of kinds are in the order in which they first occur.
  const kinds = [...new Set(spans.map(({ kind }) => kind))]
  const sorted = [...spans].sort((a, b) => a.start - b.start)
  const parts = []
  let at = 0
  for (const { start, end, kind } of sorted) {
    if (start < at || end > text.length) continue
    parts.push(text.slice(at, start))
    parts.push(
      <mark key={start} style={{ 'border-color': `var(${curveVariable(kinds.indexOf(kind))})` }}>
        {text.slice(start, end)}
        <span class="kind">{kind}</span>
      </mark>,
    )
    at = end
  }
  parts.push(text.slice(at))
  return <p class="marked">{parts}</p>
}
