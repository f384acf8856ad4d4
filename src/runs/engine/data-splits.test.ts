import { expect, it } from 'vitest'
import { describeShare, shuffledExamples } from '../examples/run-data.ts'

it('names file and line of the example at a position', () => {
  const examples = Array.from({ length: 5 }, (_, index) => ({ index, truncatedTokens: 0 }))
  const { example, place } = shuffledExamples(examples, 1, (index) => ({
    file: 'reviews.csv',
    line: index === 4 ? undefined : index + 2,
  }))
  // Two epochs, in different orders: the place belongs to the example that is there.
  for (let position = 0; position < 10; position++) {
    const { index } = example(position).example
    expect(place?.(position)).toBe(index === 4 ? 'reviews.csv' : `reviews.csv:${index + 2}`)
  }
  expect(shuffledExamples(examples, 1).place?.(0)).toBeUndefined()
})

it('reports a validation split that is far from the share that was asked for', () => {
  expect(describeShare(90, 10, 0.1)).toEqual([])
  expect(describeShare(89, 11, 0.1)).toEqual([])
  expect(describeShare(48, 2, 0.1)).toEqual([
    'Validating on 2 of 50 records, 4 % where `validationShare` is 10 %: a hash decides on each record. For a certain number, give a file for `validation`.',
  ])
})
