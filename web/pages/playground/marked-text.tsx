// A text with spans of it marked, each with its kind.

export interface Span {
  start: number
  end: number
  kind: string
}

/** Colours of kinds, in the order in which they first occur. */
const colorOf = (kinds: readonly string[], kind: string): string => `var(--curve-${(kinds.indexOf(kind) % 8) + 1})`

/** Spans that overlap an earlier one are left out. */
export const MarkedText = ({ text, spans }: { text: string; spans: readonly Span[] }) => {
  const kinds = [...new Set(spans.map(({ kind }) => kind))]
  const sorted = [...spans].sort((a, b) => a.start - b.start)
  const parts = []
  let at = 0
  for (const { start, end, kind } of sorted) {
    if (start < at || end > text.length) continue
    parts.push(text.slice(at, start))
    parts.push(
      <mark key={start} style={{ 'border-color': colorOf(kinds, kind) }}>
        {text.slice(start, end)}
        <span class="kind">{kind}</span>
      </mark>,
    )
    at = end
  }
  parts.push(text.slice(at))
  return <p class="marked">{parts}</p>
}
