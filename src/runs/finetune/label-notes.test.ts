import { expect, it } from 'vitest'
import { labelNotes } from './several-sets.ts'

it('lists the labels with their counts, and those that look the same', () => {
  expect(labelNotes(new Map())).toEqual([])
  const counts = new Map(Object.entries({ negative: 3, positive: 5, Positive: 1 }))
  expect(labelNotes(counts)).toEqual([
    'Labels of the training records: positive 5, negative 3, Positive 1.',
    'The labels "positive" and "Positive" differ only in case or white space, and are different classes here. If they mean the same, spell them alike.',
  ])
  const numbers = new Map(Object.entries({ 0: 4, 1: 2, '-1': 3 }))
  expect(labelNotes(numbers)[1]).toMatch(/label -1 is a class like the others.*without a label/)
  expect(labelNotes(new Map(Object.entries({ '-1': 3, neutral: 2 })))).toHaveLength(1)
  const many = new Map(Array.from({ length: 23 }, (_, i) => [`c${i}`, 1]))
  expect(labelNotes(many)).toEqual([expect.stringMatching(/ c19 1 and 3 more\.$/)])
})
