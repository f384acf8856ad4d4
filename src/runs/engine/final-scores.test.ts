// Numbers are made up; the comparisons are by hand.
import { expect, it } from 'vitest'
import type { ScoreIntervals } from '../../tasks/index.ts'
import { finalScores } from './evaluation-files.ts'

const accuracy = (value: number, low = value, high = value): ScoreIntervals => ({ accuracy: { value, low, high } })
const majority = { name: 'majority class', metrics: accuracy(0.505) }
const base = { name: 'untrained base', metrics: accuracy(0.49) }
const advice = 'Look at the data.'
const warningsOf = (metrics: ScoreIntervals) =>
  finalScores({ metrics, mainMetric: 'accuracy' }, [majority, base], { advice }).warnings

it('names the references that a model does not beat', () => {
  expect(warningsOf(accuracy(0.9, 0.85, 0.95))).toEqual([])
  expect(warningsOf(accuracy(0.505, 0.45, 0.55))).toEqual([
    'accuracy 0.505 is not better than the baseline `majority class` (0.505).',
    advice,
  ])
  expect(warningsOf(accuracy(0.52, 0.45, 0.58))).toEqual([
    'accuracy 0.52 is not clearly better than the baseline `majority class` (0.505): with so few records, the interval reaches 0.45.',
    advice,
  ])
  expect(warningsOf(accuracy(0.4, 0.3, 0.5))).toHaveLength(3)
})

it('compares errors the other way round, keeps the warnings of the task, and says nothing of a metric without a value', () => {
  const loss = (value: number): ScoreIntervals => ({ loss: { value, low: value, high: value } })
  const lower = (value: number, reference: number) =>
    finalScores({ metrics: loss(value), mainMetric: 'loss' }, [{ name: 'mean', metrics: loss(reference) }], {
      advice,
      warnings: ['Odd.'],
    })
  expect(lower(1, 2).warnings).toEqual(['Odd.'])
  expect(lower(2, 1).warnings).toEqual(['loss 2 is not better than the baseline `mean` (1).', advice, 'Odd.'])
  expect(lower(Number.NaN, 1).warnings).toEqual(['Odd.'])
  expect(lower(1, 2).references).toEqual([{ name: 'mean', metrics: { loss: 2 } }])
})
