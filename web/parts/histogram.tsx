// Counts by ranges of a value as bars.
import { formatCount, formatValue } from '../format.ts'

/** A range of values; the next one begins at `to`. */
export interface HistogramBin {
  from: number
  to: number
  count: number
}

interface HistogramProps {
  label: string
  /** What the values are. */
  across: string
  bins: readonly HistogramBin[]
  /** Whether zero divides good values from bad ones. */
  signed?: boolean
  /** Whether values are whole numbers: `to` is then one more than the last of a range. */
  whole?: boolean
}

const frame = { width: 640, height: 150, bottom: 24, left: 8, right: 8 }

export const Histogram = ({ label, across, bins, signed = false, whole = false }: HistogramProps) => {
  if (bins.length === 0) return null
  const most = Math.max(1, ...bins.map(({ count }) => count))
  const width = (frame.width - frame.left - frame.right) / bins.length
  const floor = frame.height - frame.bottom
  const zero = signed ? bins.findIndex(({ to }) => to > 0) : -1
  const [first, last] = [bins[0], bins[bins.length - 1]]
  const show = whole ? formatCount : formatValue
  const rangeOf = ({ from, to }: HistogramBin) =>
    whole && to - from === 1 ? show(from) : `${show(from)} to ${show(whole ? to - 1 : to)}`
  return (
    <figure class="scatter" aria-label={label}>
      <svg viewBox={`0 0 ${frame.width} ${frame.height}`} width="100%">
        <title>{label}</title>
        {bins.map((bin, i) => {
          // Few values are visible beside many.
          const height = bin.count === 0 ? 0 : Math.max(1, (bin.count / most) * (floor - 8))
          return (
            <rect
              key={bin.from}
              x={frame.left + i * width + Math.min(1, width / 8)}
              y={floor - height}
              width={Math.max(0.5, width - Math.min(2, width / 4))}
              height={height}
              fill={signed && bin.to <= 0 ? 'var(--curve-2)' : 'var(--curve-1)'}
            >
              <title>{`${rangeOf(bin)}: ${formatCount(bin.count)}`}</title>
            </rect>
          )
        })}
        <path class="axis" d={`M${frame.left} ${floor}H${frame.width - frame.right}`} />
        {zero > 0 && <path class="reference" d={`M${frame.left + zero * width} 4V${floor}`} />}
        <text x={frame.left} y={frame.height - 6}>
          {show(first.from)}
        </text>
        <text x={frame.width - frame.right} y={frame.height - 6} text-anchor="end">
          {show(whole ? last.to - 1 : last.to)}
        </text>
        <text x={frame.width / 2} y={frame.height - 6} text-anchor="middle">
          {across}
        </text>
      </svg>
    </figure>
  )
}
