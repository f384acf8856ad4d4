// Counts by name as a table with bars.
import { formatCount } from '../format.ts'
import { SafeText } from './safe-text.tsx'

interface Bar {
  name: string
  count: number
}

interface BarsProps {
  label: string
  /** Heads of the two columns. */
  head: readonly [string, string]
  bars: readonly Bar[]
}

/** Bars that are shown. */
const most = 30

export const Bars = ({ label, head, bars }: BarsProps) => {
  const largest = bars.reduce((max, { count }) => Math.max(max, count), 1)
  const sum = bars.reduce((total, { count }) => total + count, 0)
  return (
    <>
      <table class="bars" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">{head[0]}</th>
            <th scope="col" class="number">
              {head[1]}
            </th>
            <th scope="col">Share</th>
          </tr>
        </thead>
        <tbody>
          {bars.slice(0, most).map(({ name, count }) => (
            <tr key={name}>
              <td>
                <SafeText text={name} />
              </td>
              <td class="number">{formatCount(count)}</td>
              <td class="bar">
                <span class="track">
                  <span class="fill" style={{ width: `${(100 * count) / largest}%` }} />
                </span>
                <span class="muted">{((100 * count) / (sum || 1)).toFixed(1)} %</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {bars.length > most && <p class="muted">and {formatCount(bars.length - most)} more</p>}
    </>
  )
}
