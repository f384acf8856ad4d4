import { expect, it } from 'vitest'
import { editDistance, suggest } from './suggest.ts'

it('counts edits, a swap of neighbours as one', () => {
  expect(editDistance('kitten', 'sitting')).toBe(3)
  expect(editDistance('tpye', 'type')).toBe(1)
  expect(editDistance('', 'abc')).toBe(3)
  expect(editDistance('same', 'same')).toBe(0)
})

it('finds slips, whatever the case and dashes, and nothing for other words', () => {
  const names = ['vocabSize', 'maxSteps', 'batchSize']
  expect(suggest('vocab-size', names)).toBe('vocabSize')
  expect(suggest('bacthsize', names)).toBe('batchSize')
  expect(suggest('temperature', names)).toBeUndefined()
  expect(suggest('x'.repeat(1e6), names)).toBeUndefined()
})
