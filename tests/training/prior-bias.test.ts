// What the bias of a new head begins with in a run: a step at a rate that moves nothing leaves it in the model's file.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport } from '../../src/checkpoint/index.ts'
import { finetune, pretrain } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)
const lines = (name: string, rows: object[]) => {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'))
  return at(name)
}
const words = ['the', 'house', 'river', 'old', 'bird', 'rain']

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 1 } }))
})
afterAll(() => data.dispose())

/** The bias after one step that moves nothing. */
const begun = async (out: string, task: string, file: string, more: object = {}): Promise<number[]> => {
  await finetune({
    base,
    task,
    data: file,
    validation: file,
    out: at(out),
    maxLength: 32,
    batch: { sequences: 4 },
    budget: { steps: 1 },
    learningRate: 1e-12,
    untrainedBaseline: false,
    ...more,
  } as unknown as Parameters<typeof finetune>[0])
  const folder = join(at(out), 'model')
  const { model } = existsSync(join(folder, 'adapter_config.json'))
    ? await loadAdapter(folder)
    : await loadModelWithReport(folder)
  return Array.from((model.head.scores?.bias ?? (undefined as never)).toFloat32Array())
}
const close = (values: number[]) => values.map((value) => expect.closeTo(value, 4))

describe('the bias of a new head', () => {
  const tagged = Array.from({ length: 10 }, (_, i) => ({
    tokens: words,
    tags: words.map((_, k) => (k === i % 3 ? 'B-X' : 'O')),
  }))
  // Of 60 words 10 are B-X; each class counts once more.
  const shares = [Math.log(11 / 62), Math.log(51 / 62)]

  it.each(['full', 'lora', 'bitfit'])('%s: the shares of the tags', async (variant) => {
    const bias = await begun(`tags-${variant}`, 'token-classification', lines('tags.jsonl', tagged), { variant })
    expect(bias).toEqual(close(shares))
  })

  it('is the mean of numbers, and zero without `priorBias`', async () => {
    const file = lines(
      'numbers.jsonl',
      [1, 2, 3, 10].map((label, i) => ({ text: words[i], label })),
    )
    expect(await begun('numbers', 'regression', file)).toEqual(close([4]))
    expect(await begun('zero', 'regression', file, { priorBias: false })).toEqual(close([0]))
  })

  it('stays what it was where the base has the head already', async () => {
    const taught = await begun('taught', 'token-classification', lines('tags.jsonl', tagged))
    const other = lines(
      'other.jsonl',
      tagged.map(({ tokens }) => ({ tokens, tags: tokens.map((_, k) => (k < 5 ? 'B-X' : 'O')) })),
    )
    const again = await begun('again', 'token-classification', other, { base: join(at('taught'), 'model') })
    expect(again).toEqual(close(taught))
  })
})
