// What `inspectData` finds in data that was made with one of each fault.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { inspectData, renderDataInspection, renderDataInspectionPage } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { chatTokenizerJson } from '../tasks/chat-tokenizer.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-inspect-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const lines = (name: string, rows: object[]) => {
  writeFileSync(join(root, name), rows.map((row) => JSON.stringify(row)).join('\n'))
  return join(root, name)
}

const long = 'the committee met on tuesday to discuss the new plan for the old bridge over the river near the mill'
const train = [
  { text: long, label: 'news' },
  { text: 'a short text', label: 'other' },
  { text: 'a short text', label: 'other' },
  { text: 'rain falls on the roof', label: 'news' },
  { text: 'rain falls on the roof', label: 'other' },
  { text: `${long} again`, label: 'other' },
  { text: `${long} today`, label: 'news' },
  { text: 'nothing like the others at all', label: 'news', extra: 1 },
]
const validation = [
  { text: 'a short text', label: 'other' },
  { text: long.replace('tuesday', 'monday'), label: 'news' },
  { text: 'only here', label: 'sports' },
]
const settings = { task: 'sequence-classification' as const }

describe('inspectData', () => {
  it('counts copies, contradictions, near copies and labels, and names their places', async () => {
    const data = lines('train.jsonl', train)
    const { train: part, overlap } = await inspectData(data, settings)
    expect(overlap).toBeUndefined()
    expect(part.report.records).toBe(8)
    expect(part.labels).toEqual([
      { label: 'news', count: 4, share: 0.5 },
      { label: 'other', count: 4, share: 0.5 },
    ])
    expect(part.copies).toEqual({
      count: 1,
      examples: [{ first: `${data}:2`, second: `${data}:3`, text: 'a short text', answers: ['other', 'other'] }],
    })
    expect(part.contradictions).toMatchObject({
      count: 1,
      examples: [{ first: `${data}:4`, second: `${data}:5`, answers: ['news', 'other'] }],
    })
    expect(part.nearContradictions).toMatchObject({
      count: 1,
      examples: [{ first: `${data}:1`, second: `${data}:6`, answers: ['news', 'other'] }],
    })
    expect(part.nearCopies).toMatchObject({ count: 1, examples: [{ first: `${data}:1`, second: `${data}:7` }] })
  })

  it('measures lengths in words without a tokenizer', async () => {
    const { train: part } = await inspectData(lines('train.jsonl', train), { ...settings, maxLength: 20 })
    const { histogram, ...lengths } = part.lengths
    expect(histogram.filter(({ count }) => count > 0).map(({ from, count }) => [from, count])).toEqual([
      [3, 2],
      [5, 2],
      [6, 1],
      [20, 1],
      [21, 2],
    ])
    expect(lengths).toEqual({
      unit: 'words',
      of: 'text',
      // 20, 3, 3, 5, 5, 21, 21 and 6 words.
      mean: 84 / 8,
      min: 3,
      median: 6,
      p95: 21,
      p99: 21,
      max: 21,
      tooLong: 2,
    })
  })

  it('compares training and validation', async () => {
    const { overlap, validation: part } = await inspectData(lines('train.jsonl', train), {
      ...settings,
      validation: lines('validation.jsonl', validation),
      similarity: 0.7,
    })
    expect(part?.report.records).toBe(3)
    expect(overlap?.texts.count).toBe(1)
    expect(overlap?.near.count).toBe(1)
    expect(overlap).toMatchObject({ onlyInTraining: [], onlyInValidation: ['sports'] })
  })

  it('reports labels of both parts that differ only in case', async () => {
    const clear = await inspectData(lines('train.jsonl', train), settings)
    expect(clear.labelNotes).toEqual([])
    expect(renderDataInspection(clear)).not.toContain('mistakes')
    const inspection = await inspectData(lines('train.jsonl', train), {
      ...settings,
      validation: lines('cased.jsonl', [...validation, { text: 'of another case', label: 'News' }]),
    })
    expect(inspection.labelNotes).toEqual([expect.stringMatching(/^The labels "news" and "News" differ only in case/)])
    expect(renderDataInspection(inspection)).toContain(`Labels that may be mistakes\n  ${inspection.labelNotes[0]}`)
  })

  it('renders every finding as text and as a page, with text escaped', async () => {
    const inspection = await inspectData(
      lines('odd.jsonl', [...train, { text: '<b>bold</b> text', label: '<i>' }]),
      settings,
    )
    const text = renderDataInspection(inspection)
    expect(text).toMatch(/same text, other answer in training +1/)
    expect(text).toMatch(/odd\.jsonl:4 +.*odd\.jsonl:5 +news \| other/)
    const page = renderDataInspectionPage(inspection)
    expect(page).toContain('&#60;i&#62;')
    expect(page).not.toContain('<i>')
  })

  it('shows the first conversation as it is trained, where a tokenizer is given', async () => {
    const tokenizer = join(root, 'tokenizer')
    mkdirSync(tokenizer)
    writeFileSync(join(tokenizer, 'tokenizer.json'), JSON.stringify(chatTokenizerJson()))
    const turns = ['q', 'a', 'r', 'b'].map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }))
    const data = lines('chats.jsonl', [{ messages: [turns[0], { ...turns[1], weight: 0 }, ...turns.slice(2)] }])
    const inspection = await inspectData(data, { task: 'instructions', tokenizer, settings: { template: 'chatml' } })
    expect(inspection.example).toMatchObject({ place: `${data}:1`, trainedTokens: 2 })
    // Prompts and answers through the template, as a run truncates them.
    expect(inspection.train.lengths).toMatchObject({ of: 'example', min: inspection.example?.tokens })
    expect(inspection.example?.text).toContain('assistant\na<|im_end|>')
    expect(renderDataInspection(inspection)).toContain('assistant\n          ⟦b<|im_end|>⟧')
  })

  it('is a command with JSON, a page, and an error for a column that looks like a pair', async () => {
    const data = lines('train.jsonl', train)
    const page = join(root, 'page.html')
    const done = await runHere(['inspect', data, '--task', 'sequence-classification', '--html', page, '--json'])
    expect(JSON.parse(done.stdout)).toMatchObject({ train: { contradictions: { count: 1 } }, html: page })
    expect(readFileSync(page, 'utf8')).toContain('<h1>Data for sequence-classification</h1>')
    const pairs = lines('pairs.jsonl', [{ text: 'a b', text_pair: 'c', label: 'x' }])
    const refused = await runHere(['inspect', pairs, '--task', 'sequence-classification'])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/--pair-column text_pair/)
  })
})
