import { describe, expect, test } from 'vitest'
import { formatTick, scaleOver } from './chart-scale.ts'
import { renderCurves } from './curve.ts'

const indices = (n: number) => Array.from({ length: n }, (_, i) => i)

describe('renderCurves', () => {
  test('draws a falling line in letters, by hand', () => {
    const drawing = renderCurves([{ name: 'a', x: [0, 1, 2, 3], y: [3, 2, 1, 0] }], {
      width: 15,
      height: 4,
      style: 'ascii',
      title: 'falling',
      xLabel: 'step',
    })
    // 15 wide: one letter of label, a space, the axis, 12 columns. The points lie in columns 0, 4, 7 and 11.
    expect(drawing).toBe(
      [
        'falling',
        '  │**',
        '2 ┤  ****',
        '  │      ***',
        '0 ┤         ***',
        '  └────────────',
        '   0      2',
        '       step',
      ].join('\n'),
    )
  })

  test('sets the braille dots of a corner', () => {
    const drawing = renderCurves([{ name: 'a', x: [0, 0, 1], y: [0, 1, 1] }], { width: 13, height: 2 })
    const rows = drawing.split('\n').map((row) => row.replace(/^[^│┤]*[│┤]/, ''))
    // Up the left dot column of both rows, then along the top dot row.
    expect(rows[0]).toBe(`⡏${'⠉'.repeat(rows[0].length - 1)}`)
    expect(rows[1]).toBe('⡇')
  })

  test('leaves gaps where values are not finite', () => {
    const y = [0, 0, Number.NaN, 0, Number.POSITIVE_INFINITY]
    const drawing = renderCurves([{ name: 'a', x: indices(5), y }], { width: 22, height: 3, style: 'ascii' })
    const row = drawing.split('\n').find((line) => line.includes('*'))!
    expect(row.replace(/^[^│┤]*[│┤]/, '')).toMatch(/^\*+ +\*$/)
  })

  test('leaves out what a log axis cannot hold and spaces decades evenly', () => {
    const drawing = renderCurves([{ name: 'a', x: indices(5), y: [100, 10, 1, 0, -1] }], {
      width: 40,
      height: 9,
      axis: 'log',
      style: 'ascii',
    })
    const labelled = drawing
      .split('\n')
      .flatMap((line, row) => (/\d+ ┤/.test(line) ? [[line.trim().split(' ')[0], row]] : []))
    expect(labelled).toEqual([
      ['100', 0],
      ['10', 4],
      ['1', 8],
    ])
  })

  test('names several series, with colours or letters', () => {
    const series = ['train', 'valid'].map((name, i) => ({ name, x: [0, 1], y: [i, i + 1] }))
    expect(renderCurves(series, { style: 'ascii' })).toContain('* train   + valid')
    expect(renderCurves(series, { color: true })).toContain('\u001b[33m⠒ valid\u001b[0m')
    expect(renderCurves(series)).toContain('* train   + valid')
    expect(renderCurves(series, { style: 'braille' })).not.toContain('\u001b')
  })

  test.each([
    ['nothing', [], []],
    ['one point', [5], [3]],
    ['a level line', [0, 1], [2, 2]],
    ['only gaps', [0, 1], [Number.NaN, Number.NaN]],
    ['huge values', [0, 1], [1e300, -1e300]],
  ])('keeps its size for %s', (_, x, y) => {
    for (const axis of ['linear', 'log'] as const) {
      const lines = renderCurves([{ name: 'a', x, y }], { width: 50, height: 6, axis }).split('\n')
      expect(lines).toHaveLength(8)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(50)
    }
  })
})

describe('scales', () => {
  test('have round ticks inside the axis', () => {
    expect(scaleOver([[0, 10]]).ticks(5)).toEqual([0, 2, 4, 6, 8, 10])
    expect(
      scaleOver([[1.3, 2.1]])
        .ticks(4)
        .map(formatTick),
    ).toEqual(['1.4', '1.6', '1.8', '2'])
    expect(
      scaleOver([[1e-5, 1]], 'log')
        .ticks(3)
        .map(formatTick),
    ).toEqual(['1e-5', '0.001', '0.1'])
    expect(scaleOver([[3, 40]], 'log').ticks(5)).toEqual([5, 10, 20])
  })

  test('write numbers short', () => {
    expect([0, 0.25, 1234.5, 45_000, 2.5e6, 3e9, -12e12, 3.25e-7].map(formatTick)).toEqual([
      '0',
      '0.25',
      '1235',
      '45k',
      '2.5M',
      '3B',
      '-12T',
      '3.3e-7',
    ])
  })
})
