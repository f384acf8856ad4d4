// A small picture of a curve, without axes.

const width = 90
const height = 22

/** @param values evenly spaced, oldest first */
export const Spark = ({ values }: { values: readonly number[] }) => {
  if (values.length < 2) return null
  const low = Math.min(...values)
  const range = Math.max(...values) - low || 1
  const points = values.map((value, i) => {
    const x = (i / (values.length - 1)) * width
    return `${x.toFixed(1)},${(height - 1 - ((value - low) / range) * (height - 2)).toFixed(1)}`
  })
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <polyline points={points.join(' ')} fill="none" stroke="var(--curve-1)" stroke-width="1.5" />
    </svg>
  )
}
