// Tables: within the width, nothing lost.
import { describe, expect, it } from 'vitest'
import { renderTable } from './table.ts'

const head = ['run', 'accuracy', 'trained parameters', 'time', 'memory', 'size']
const rows = [
  ['full', '0.8812 [0.8612, 0.9002]', '22.7M', '4 min 05 s', '699 MiB', '43 MiB'],
  ['lora', '0.8740 [0.8540, 0.8932]', '0.4M', '3 min 55 s', '610 MiB', '0.9 MiB'],
]

describe('renderTable', () => {
  it('keeps one table when it fits', () => {
    expect(renderTable(head, rows, 200).match(/accuracy/g)).toHaveLength(1)
    expect(renderTable(head, rows, 200).match(/full/g)).toHaveLength(1)
  })

  it('splits a wide table into several within the width, each with the first column', () => {
    const text = renderTable(head, rows, 60)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
    expect(text.match(/full/g)!.length).toBeGreaterThan(1)
    for (const cell of [...head, ...rows.flat()]) expect(text).toContain(cell)
  })

  it('shortens a cell that would fill the terminal, and draws a table of one column', () => {
    expect(renderTable(['run'], [['x'.repeat(300)]], 80)).toContain('…')
  })
})
