import { expect, it } from 'vitest'
import { isInShare } from '../examples/run-data.ts'
import { expectSplit, splitByLabel } from './folds.ts'

interface Labelled {
  id: string
  file: string
  line: number
  text: string
  label: string
  group?: string
}

const records = Array.from({ length: 100 }, (_, i): Labelled => {
  // Each record of the first ten is there twice.
  const text = `text ${i < 10 ? Math.floor(i / 2) : i}`
  return {
    id: String(i),
    file: 'a.csv',
    line: i + 2,
    text,
    label: (i < 10 ? Math.floor(i / 2) : i) % 5 === 0 ? 'rare' : 'common',
  }
})
const labelOf = ({ label }: Labelled) => label
const rareOf = (list: readonly Labelled[]) => list.filter(({ label }) => label === 'rare').length
const idsOf = (list: readonly Labelled[]) => list.map(({ id }) => id).sort()

it('divides records into folds with the same share of each label, copies together', () => {
  const parts = Array.from({ length: 5 }, (_, fold) => splitByLabel(records, { folds: 5, fold }, 0.1, labelOf))
  expect(idsOf(parts.flatMap(({ validation }) => validation))).toEqual(idsOf(records))
  const rare = rareOf(records)
  for (const { train, validation } of parts) {
    expect(train.length + validation.length).toBe(100)
    expect(Math.abs(validation.length - 20)).toBeLessThanOrEqual(1)
    expect(Math.abs(rareOf(validation) - rare / 5)).toBeLessThanOrEqual(1)
    const texts = new Set(validation.map(({ text }) => text))
    expect(train.some(({ text }) => texts.has(text))).toBe(false)
  }
  // Another division is another one, and the order of the records changes nothing.
  const again = splitByLabel([...records].reverse(), { folds: 5, fold: 0 }, 0.1, labelOf)
  expect(idsOf(again.validation)).toEqual(idsOf(parts[0].validation))
  const other = splitByLabel(records, { folds: 5, fold: 0, repeat: 1 }, 0.1, labelOf)
  expect(idsOf(other.validation)).not.toEqual(idsOf(parts[0].validation))
})

it('splits off a share of each label, and keeps groups together', () => {
  const { validation } = splitByLabel(records, { repeat: 0 }, 0.2, labelOf)
  expect(validation.length).toBe(20)
  expect(Math.abs(rareOf(validation) - 0.2 * rareOf(records))).toBeLessThanOrEqual(1)
  const grouped = records.map((record, i) => ({ ...record, group: `author ${i % 12}` }))
  for (const split of [{ repeat: 3 }, { folds: 3, fold: 1 }]) {
    const { train, validation: held } = splitByLabel(grouped, split, 0.2, () => '')
    const authors = new Set(held.map(({ group }) => group))
    expect(authors.size).toBeGreaterThan(0)
    expect(train.some(({ group }) => authors.has(group))).toBe(false)
  }
})

it('trains on nested shares', () => {
  const many = Array.from({ length: 5000 }, (_, i): Labelled => ({ ...records[0], id: String(i), text: `t${i}` }))
  const [tenth, third] = [0.1, 0.3].map((share) => new Set(many.filter((record) => isInShare(record, share))))
  expect(Math.abs(tenth.size - 500)).toBeLessThan(100)
  expect(Math.abs(third.size - 1500)).toBeLessThan(150)
  for (const record of tenth) expect(third.has(record)).toBe(true)
  expect(many.every((record) => isInShare(record, 1))).toBe(true)
})

it('refuses settings that have no effect together', () => {
  const plain = { validationShare: 0.1, exampleCache: 'auto' }
  const refused = (split: object, more: object = {}) => {
    try {
      expectSplit(split, { ...plain, ...more }, 0.1)
    } catch (error) {
      return (error as Error).message
    }
    return 'nothing'
  }
  expect(refused({})).toBe('nothing')
  expect(refused({ folds: 5, fold: 4 })).toBe('nothing')
  expect(refused({ folds: 5 })).toMatch(/set `split.fold` \(0 to 4\), or run all of them: `sweep --folds 5`/)
  expect(refused({ fold: 1 })).toMatch(/set `split.folds`/)
  expect(refused({ folds: 5, fold: 5 })).toMatch(/Expected 0 to 4/)
  expect(refused({ repeat: 1 }, { validation: 'b.csv' })).toMatch(/no `validation`/)
  expect(refused({ folds: 5, fold: 0 }, { validationShare: 0.2 })).toMatch(/validationShare/)
  expect(refused({ repeat: 1 }, { exampleCache: 'on' })).toMatch(/exampleCache/)
})
