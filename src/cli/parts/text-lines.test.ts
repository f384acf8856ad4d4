import { expect, it } from 'vitest'
import { alignedTable, terminalColumns, wrapText } from './text-lines.ts'

it('wraps a paragraph at 80 columns, with an indent, and splits no word', () => {
  const words = Array.from({ length: 60 }, (_, i) => `word${i}`)
  const lines = wrapText(words.join('  '), { first: 2, indent: 4 }).split('\n')
  expect(lines.length).toBeGreaterThan(4)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(terminalColumns)
  expect(lines[0]).toMatch(/^ {2}word0/)
  expect(lines[1]).toMatch(/^ {4}word/)
  expect(lines.join(' ').split(/\s+/).filter(Boolean)).toEqual(words)
  expect(wrapText('x'.repeat(100))).toBe('x'.repeat(100))
  expect(wrapText('')).toBe('')
})

it('aligns text on the left and numbers on the right', () => {
  const rows = [
    ['run', 'score'],
    ['full', '0.5'],
    ['LoRA, rank 8', '12.25'],
  ]
  expect(alignedTable(rows).split('\n')).toEqual([
    '  run           score',
    '  full            0.5',
    '  LoRA, rank 8  12.25',
  ])
})
