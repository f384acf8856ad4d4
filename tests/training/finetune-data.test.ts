// What a fine-tuning run says of its records before it learns from them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readFinetuneData } from '../../src/runs/finetune/data.ts'
import { completeRecipe } from '../../src/runs/finetune/finetune.ts'
import { makeSmallData, type SmallData } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

type Row = [text: string, label: string | number]

const read = (train: readonly Row[], validationRows: readonly Row[], more: object = {}) => {
  const [file, validation] = [train, validationRows].map((rows, i) => {
    const path = join(data.root, `${['train', 'held'][i]}.jsonl`)
    writeFileSync(path, rows.map(([text, label]) => JSON.stringify({ text, label })).join('\n'))
    return path
  })
  const settings = { base: data.tokenizer, out: 'unused', task: 'sequence-classification', ...more }
  return readFinetuneData(completeRecipe({ ...settings, data: file, validation }))
}

/** The note that every classification has. */
const counts = 'Labels of the training records: plant 2, rock 1.'

const train: Row[] = [
  ['green river', 'plant'],
  ['old stone', 'rock'],
  ['green house', 'plant'],
]

describe('training and validation records', () => {
  it('give no note but the counts of labels when they differ', async () => {
    const { notes, headOptions } = await read(train, [
      ['green bird', 'plant'],
      ['old bird', 'rock'],
    ])
    expect(notes).toEqual([counts])
    expect(headOptions.labels).toEqual(['plant', 'rock'])
  })

  it('that are in both are counted, whatever their place', async () => {
    const { notes } = await read(train, [['a bird', 'rock'], train[2], train[1], ['green river', 'rock']])
    const others = notes.filter((note) => note !== counts)
    expect(others).toEqual([expect.stringMatching(/^2 of 4 validation records are in the training data too/)])
  })

  it('with labels of validation alone are reported', async () => {
    const { notes, headOptions } = await read(train, [
      ['a bird', 'Plant'],
      ['a stone', 'rock'],
    ])
    expect(headOptions.labels).toEqual(['Plant', 'plant', 'rock'])
    expect(notes).toEqual([counts, expect.stringMatching(/labels that no training record has: Plant\. Check/)])
  })

  it('of one class alone, or one number, are refused, whatever is in the validation data', async () => {
    await expect(read([train[0], train[2]], [train[1]])).rejects.toThrow(
      /train\.jsonl: Expected records of two classes or more, got "plant" only/,
    )
    const one: Row[] = [
      ['a', 2],
      ['b', 2],
    ]
    await expect(read(one, [['c', 3]], { task: 'regression' })).rejects.toThrow(/different numbers, got "2" only/)
  })
})
