// Readers of alignment data: hand-made files of every form, records that teach nothing, broken ones with file and line, and the public data
// sets of ../shared/data whole. Expected counts of those come from their README (732 pairs of Open Assistant outside its synthetic trees)
// or from counting lines by hand (4 of hh-rlhf's answers are empty).
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { splitRecords } from '../../../src/runs/examples/run-data.ts'
import {
  preferenceSchema,
  promptSchema,
  ratingSchema,
  readComparisons,
  readPreferences,
  readPrompts,
  readRatings,
  type Turn,
} from '../../../src/tasks/index.ts'
import { file, lines, removeFiles } from '../input-files.ts'

afterAll(removeFiles)

const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })
const said = (content: string) => ({ role: 'assistant', content })
let files = 0
const written = (...rows: unknown[]) => file(`rows-${files++}.jsonl`, lines(...rows))
const preferences = (rows: unknown[], settings: object = {}) =>
  readPreferences(written(...rows), preferenceSchema.parse(settings))
const reasons = (skipped: { [reason: string]: { count: number } }) =>
  Object.fromEntries(Object.entries(skipped).map(([reason, { count }]) => [reason, count]))

describe('preference pairs', () => {
  it('are text that stays text, or turns if the setting says so', async () => {
    const rows = [{ prompt: 'The sky is', chosen: ' blue.', rejected: ' green.', margin: 0.5, topic: 'sky' }]
    const { records } = await preferences(rows)
    expect(records).toMatchObject([
      { prompt: 'The sky is', chosen: ' blue.', rejected: ' green.', margin: 0.5, fields: { topic: 'sky' } },
    ])
    const { records: turns } = await preferences(rows, { texts: 'turns' })
    expect(turns[0]).toMatchObject({
      prompt: [user('The sky is')],
      chosen: [assistant(' blue.')],
      rejected: [assistant(' green.')],
    })
  })

  it('come as messages, as one message each, and as whole dialogues, which are recognised row by row', async () => {
    const { records } = await preferences([
      { prompt: [user('q')], chosen: [said('a')], rejected: [said('b')] },
      { prompt: 'q', chosen: [user('q'), said('a')], rejected: [user('q'), said('b')] },
      { chosen: [user('q'), said('a')], rejected: [user('q'), said('b')] },
      {
        conversations: [{ from: 'human', value: 'q' }],
        chosen: { from: 'gpt', value: 'a' },
        rejected: { from: 'gpt', value: 'b' },
      },
      { system: 'S', messages: [user('q')], chosen: 'a', rejected: 'b' },
      {
        chosen: '\n\nHuman: q\n\nAssistant: a',
        rejected: '\n\nHuman: q\n\nAssistant: b',
      },
    ])
    expect(records).toHaveLength(6)
    for (const [i, { prompt, chosen, rejected }] of records.entries()) {
      const system = i === 4 ? [{ role: 'system', content: 'S' }] : []
      expect(prompt, String(i)).toEqual([...system, user('q')])
      expect([chosen, rejected]).toEqual([[assistant('a')], [assistant('b')]])
    }
  })

  it('are parts of dialogues that share all but the last answer; several turns of a speaker in a row are one', async () => {
    const before = '\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: one\n\nHuman: two'
    const { records, report } = await preferences([
      { chosen: `${before}\n\nAssistant: a`, rejected: `${before}\n\nAssistant: b` },
      { chosen: `${before}\n\nAssistant: a`, rejected: '\n\nHuman: other\n\nAssistant: b' },
      { chosen: `${before}\n\nAssistant:`, rejected: `${before}\n\nAssistant: b` },
    ])
    expect(records).toMatchObject([
      { prompt: [user('hi'), assistant('yes?'), user('one\n\ntwo')], chosen: [assistant('a')] },
    ])
    expect(reasons(report.skipped)).toEqual({ 'dialogues-part-early': 1, 'empty-answer': 1 })
  })

  it('come from lists with scores or ranks: all of different scores, or the best with the worst', async () => {
    const rows = [
      { prompt: 'p', answers: ['a', 'b', 'c'], scores: [2, 3, 2] },
      { prompt: 'p', answers: ['a', 'b'], ranks: [2, 1] },
      {
        prompt: 'p',
        completions: [
          { response: 'a', overall_score: 1 },
          { response: 'b', overall_score: 5 },
          { response: 'c', overall_score: 3 },
        ],
      },
    ]
    const { records } = await preferences(rows)
    expect(records.map(({ id, chosen, rejected }) => `${id} ${chosen}>${rejected}`)).toEqual([
      '0.0 b>a',
      '0.1 b>c',
      '1 b>a',
      '2.0 b>c',
      '2.1 b>a',
      '2.2 c>a',
    ])
    const { records: extremes } = await preferences(rows, { pairs: 'best-and-worst' })
    expect(extremes.map(({ chosen, rejected }) => `${chosen}>${rejected}`)).toEqual(['b>c', 'b>a', 'b>a'])
    const groups = await readComparisons(written(...rows), preferenceSchema.parse({}))
    expect(groups.records.map(({ answers }) => answers.map(({ score }) => score))).toEqual([
      [2, 3, 2],
      [-2, -1],
      [1, 5, 3],
    ])
  })

  it('of one list of answers stay together when data is split, as ratings of compared answers do', async () => {
    const rows = Array.from({ length: 30 }, (_, i) => ({
      prompt: `p ${i}`,
      answers: ['a', 'b', 'c'],
      scores: [1, 2, 3],
    }))
    const ratings = await readRatings(written(...rows), ratingSchema.parse({}))
    const { records } = await preferences(rows)
    expect([records.length, ratings.records.length]).toEqual([90, 90])
    for (const all of [records, ratings.records]) {
      const { train, validation } = splitRecords(
        all as { id: string; file: string; line: number; prompt: string }[],
        0.4,
      )
      const trained = new Set(train.map(({ prompt }) => prompt))
      expect(validation.length).toBeGreaterThan(5)
      expect(validation.filter(({ prompt }) => trained.has(prompt))).toEqual([])
    }
  })

  it('come from trees, between replies of the assistant to one message', async () => {
    const reply = (text: string, rank: number | undefined, more: object = {}) => ({
      role: 'assistant',
      text,
      rank,
      replies: [],
      ...more,
    })
    const { records } = await preferences([
      {
        prompt: {
          role: 'prompter',
          text: 'q',
          replies: [
            reply('worst', 2),
            reply('gone', 0, { deleted: true }),
            reply('best', 0, {
              replies: [
                {
                  role: 'prompter',
                  text: 'and?',
                  rank: 0,
                  replies: [reply('no', 1), reply('yes', 0), reply('?', undefined)],
                },
              ],
            }),
          ],
        },
      },
    ])
    expect(records.map(({ prompt, chosen, rejected }) => [prompt, chosen, rejected])).toEqual([
      [[user('q')], [assistant('best')], [assistant('worst')]],
      [[user('q'), assistant('best'), user('and?')], [assistant('yes')], [assistant('no')]],
    ])
  })

  it('that teach nothing are counted by name, and an error above a share', async () => {
    const rows = [
      { prompt: 'p', chosen: 'same', rejected: 'same ' },
      { prompt: 'p', chosen: 'a', rejected: ' ' },
      { prompt: 'p', answers: ['a', 'b'], scores: [1, 1] },
      { prompt: 'p', chosen: 'x', rejected: 'y' },
      { prompt: 'p', chosen: 'y', rejected: 'x' },
      { prompt: 'another', chosen: 'y', rejected: 'x' },
      ...Array.from({ length: 24 }, (_, i) => ({ prompt: `p ${i}`, chosen: 'a', rejected: 'b' })),
    ]
    const { records, report } = await preferences(rows, { maxSkipped: 0.2 })
    expect(records).toHaveLength(25)
    expect(report.records).toBe(25)
    expect(reasons(report.skipped)).toEqual({
      'identical-answers': 1,
      'empty-answer': 1,
      tie: 1,
      'contradicting-pair': 2,
    })
    expect(report.skipped.tie.first).toMatch(/\.jsonl:3: Expected answers of different scores, got 1 for all/)
    await expect(preferences(rows)).rejects.toThrow(
      /at most 10\.0 % of 30 records to be left out, got 16\.7 % \(2 contradicting-pair, 1 .*raise `maxSkipped`/,
    )
    await expect(preferences([{ prompt: 'p', chosen: 'same', rejected: 'same' }])).rejects.toThrow(
      /only unusable ones \(1 identical-answers\)/,
    )
  })

  it('that are broken are errors with file and line, or skipped', async () => {
    const good = { prompt: 'p', chosen: 'a', rejected: 'b' }
    for (const [row, message] of [
      [
        { prompt: 'p', text: 'a' },
        /:2: Expected columns chosen and rejected, .*got prompt, text\. Set `columns\.chosen` and `columns\.rejected` to/,
      ],
      [{ chosen: 'a', rejected: 'b' }, /:2: Expected a prompt in column prompt or question/],
      [{ ...good, margin: 'much' }, /:2: Expected a number in column "margin"/],
      [{ ...good, margin: -1 }, /:2: Expected a margin of 0 or more/],
      [{ ...good, chosen: 7 }, /:2: Expected text or messages in column "chosen", got 7/],
      [{ ...good, rejected: null }, /:2: Expected text or messages in column "rejected", got null/],
      [{ prompt: 'p', answers: ['a', 'b'], scores: [1] }, /:2: Expected a score or a rank for answer 1/],
      [
        { prompt: [said('a')], chosen: [said('a')], rejected: [said('b')] },
        /:2: Expected no turn of the assistant after/,
      ],
      [{ prompt: ' ', chosen: 'a', rejected: 'b' }, /:2: Expected a prompt with text/],
    ] as const) {
      await expect(preferences([good, row])).rejects.toThrow(message)
      const { records, report } = await preferences([good, row], { onFault: 'skip' })
      expect(records).toHaveLength(1)
      expect(Object.values(report.skipped)).toMatchObject([{ count: 1 }])
    }
  })
})

describe('ratings', () => {
  it('are messages or a prompt and a completion with a label; of comparisons, the best are good', async () => {
    const path = written(
      { messages: [user('q'), said('a')], label: true },
      { prompt: 'p', completion: 'c', label: 0 },
      { prompt: 'p', chosen: 'x', rejected: 'y' },
    )
    const { records } = await readRatings(path, ratingSchema.parse({}))
    expect(records.map(({ id, prompt, completion, good }) => [id, prompt, completion, good])).toEqual([
      ['0', [user('q')], [assistant('a')], true],
      ['1', 'p', 'c', false],
      ['2.0', 'p', 'x', true],
      ['2.1', 'p', 'y', false],
    ])
    await expect(
      readRatings(written({ prompt: 'p', completion: 'c', label: 'perhaps' }), ratingSchema.parse({})),
    ).rejects.toThrow(
      /:1: Expected true or false in column "label", got "perhaps"\. Set `columns\.label` to the column of your data\./,
    )
  })
})

describe('prompts', () => {
  const prompts = (rows: unknown[], settings: object = {}) =>
    readPrompts(written(...rows), promptSchema.parse(settings))
  it('are word problems with their answers, prompts of comparisons, and plain ones', async () => {
    const { records } = await prompts([
      { question: 'How many?', answer: 'Two <<1+1=2>>.\n#### 1,234' },
      { Body: 'I had 3.', Question: 'How many now?', Answer: 51.0 },
      { question: 'Which?', options: ['A)1', 'B)2'], rationale: 'r', correct: 'B' },
      { prompt: 'p', chosen: 'a', rejected: 'b' },
      { prompt: 'Once upon', reference: 'a time' },
      { messages: [user('q'), said('a')] },
    ])
    expect(records.map(({ prompt, reference }) => [prompt, reference])).toEqual([
      [[user('How many?')], '1234'],
      [[user('I had 3. How many now?')], '51'],
      [[user('Which?\nA)1\nB)2')], 'B'],
      ['p', undefined],
      ['Once upon', 'a time'],
      [[user('q')], 'a'],
    ])
    expect(records[2].fields).toMatchObject({ rationale: 'r' })
  })

  it('can be raw, and be filled into a pattern of columns', async () => {
    const row = { question: 'How many?', answer: '#### 2', hint: 'Add.' }
    const { records } = await prompts([row], { texts: 'raw', pattern: 'Q: {question} {hint}\nA:' })
    expect(records).toMatchObject([{ prompt: 'Q: How many? Add.\nA:', reference: '2' }])
    await expect(prompts([row], { pattern: '{missing}' })).rejects.toThrow(/:1: Expected text in column "missing"/)
  })
})

describe.skipIf(!existsSync('../shared/data'))('public data sets', () => {
  const data = (path: string) => `../shared/data/${path}`
  const hh = data('hh-rlhf/harmless-base/test.first1600.jsonl.gz')
  const trees = data('oasst-trees/en_100_tree.jsonl.gz')

  it('hh-rlhf: 1600 dialogues, of which 4 have an empty answer', async () => {
    const { records, report } = await readPreferences(hh, preferenceSchema.parse({}))
    expect(records).toHaveLength(1596)
    expect(reasons(report.skipped)).toEqual({ 'empty-answer': 4 })
    expect(new Set(records.map(({ chosen }) => chosen.length))).toEqual(new Set([1]))
  })

  it('dpo-mix: 200 pairs', async () => {
    const path = data('dpo-mix-sample/dpo_en_demo.first200.json.gz')
    expect((await readPreferences(path, preferenceSchema.parse({}))).records).toHaveLength(200)
  })

  it('oasst: the pairs of its README outside the synthetic trees', async () => {
    const synthetic = gunzipSync(readFileSync(trees))
      .toString()
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { prompt: { synthetic: boolean } }).prompt.synthetic)
    const { records } = await readPreferences(trees, preferenceSchema.parse({}))
    expect(records.filter(({ line = 0 }) => !synthetic[line - 1])).toHaveLength(732)
  })

  it('kto: 300 ratings, half of them good', async () => {
    const { records } = await readRatings(data('kto-sample/kto_en_demo.json.gz'), ratingSchema.parse({}))
    expect(records).toHaveLength(300)
    expect(records.filter(({ good }) => good)).toHaveLength(150)
  })

  it('gsm8k and svamp: prompts with numbers as references', async () => {
    for (const [path, count] of [
      ['gsm8k/train.jsonl.gz', 7473],
      ['svamp/SVAMP.json', 1000],
    ] as const) {
      const { records } = await readPrompts(data(path), promptSchema.parse({}))
      expect(records).toHaveLength(count)
      expect(records.filter(({ reference }) => !Number.isFinite(Number(reference ?? 'none')))).toEqual([])
    }
  })
})
