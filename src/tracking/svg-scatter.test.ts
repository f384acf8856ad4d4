import { describe, expect, it } from 'vitest'
import { renderScatter } from './svg-chart.ts'

describe('renderScatter', () => {
  it('keeps the names of lines at one height apart', () => {
    const svg = renderScatter({
      title: 'scores',
      across: 'parameters',
      axis: 'log',
      points: [{ name: 'full', x: 1e6, y: 0.8 }],
      references: [
        { name: 'majority', y: 0.5 },
        { name: 'untrained', y: 0.5 },
        { name: 'random', y: 0.501 },
        { name: 'other', y: 0.7 },
      ],
    })
    const heights = ['majority', 'untrained', 'random', 'other'].map((name) =>
      Number(new RegExp(`y="([\\d.]+)">${name}<`).exec(svg)?.[1]),
    )
    for (const [i, one] of heights.entries())
      for (const other of heights.slice(i + 1)) expect(Math.abs(one - other)).toBeGreaterThan(12)
  })
})
