import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../core/index.ts'
import { type DocumentStage, type ServeLinesResult, serveLines } from './protocol.ts'
import { createWorkerStage, workerStageNames } from './stages.ts'

const serve = async (
  stage: DocumentStage,
  lines: readonly string[],
  options: { omitDropped?: boolean; maxLineBytes?: number } = {},
): Promise<{ answers: Record<string, unknown>[]; result: ServeLinesResult }> => {
  let text = ''
  const output = new Writable({
    highWaterMark: 16,
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString()
      setImmediate(done)
    },
  })
  async function* input() {
    const bytes = Buffer.from(lines.join('\n'))
    for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
  }
  const result = await serveLines({ input: input(), output, stage, maxLineBytes: 1e6, omitDropped: false, ...options })
  const answers = text.split('\n').filter((line) => line !== '')
  return { answers: answers.map((line) => JSON.parse(line) as Record<string, unknown>), result }
}

const echo: DocumentStage = (document) => {
  if (document.text === 'throw') throw new Error('cannot')
  if (document.text === 'drop') return { dropped: { stage: 's', reason: 'r' } }
  return { document: { ...document, text: document.text.toUpperCase() } }
}

describe('serveLines', () => {
  it('answers every line in order, with errors in their place', async () => {
    const lines = [
      '{"id":"a","text":"x","extra":[1]}',
      'not json',
      '[1]',
      '{"id":2}',
      '{"text":"drop"}',
      '{"text":"throw","id":"z"}',
    ]
    const { answers, result } = await serve(echo, lines)
    expect(answers).toEqual([
      { id: 'a', text: 'X', extra: [1] },
      { error: { line: 2, message: expect.stringContaining('Expected JSON') } },
      { error: { line: 3, message: expect.stringContaining('JSON object') } },
      { id: 2, error: { line: 4, message: expect.stringContaining('`text`') } },
      { line: 5, dropped: { stage: 's', reason: 'r' } },
      { id: 'z', error: { line: 6, message: 'cannot' } },
    ])
    expect(result).toEqual({ lines: 6, kept: 1, dropped: 1, errors: 4 })
  })

  it('can leave dropped documents out, and keeps thousands in order through a slow reader', async () => {
    const lines = Array.from({ length: 5000 }, (_, index) =>
      JSON.stringify({ id: index, text: index % 2 ? 'drop' : 'x' }),
    )
    const { answers } = await serve(echo, lines, { omitDropped: true })
    expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 2500 }, (_, index) => index * 2))
  })

  it('returns an error for a line that is too long, and continues', async () => {
    const { answers } = await serve(echo, [JSON.stringify({ text: 'y'.repeat(5000) }), '{"text":"x"}'], {
      maxLineBytes: 1000,
    })
    expect(answers[0]).toMatchObject({ error: { line: 1 } })
    expect(answers[1]).toEqual({ text: 'X' })
  })

  it('refuses metadata that is no object', async () => {
    const { answers } = await serve(echo, ['{"text":"x","metadata":[1]}'])
    expect(answers[0]).toMatchObject({ error: { line: 1 } })
  })
})

describe('the stages', () => {
  let folder: string
  const question = 'which of the nine small rivers that flow to the northern sea is the longest of them all'
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunesmith-worker-'))
    await writeFile(join(folder, 'test.jsonl'), `${JSON.stringify({ question })}\n`)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('filter: keeps, rewrites and drops', async () => {
    const stage = await createWorkerStage('filter', { filter: ['length:minCharacters=20', 'personal-data'] })
    const { answers } = await serve(stage, [
      JSON.stringify({ id: 1, text: 'Write to someone@somewhere.org about this.', metadata: { a: 1 } }),
      JSON.stringify({ id: 2, text: 'short' }),
    ])
    expect(answers[0]).toMatchObject({ id: 1, metadata: { a: 1 } })
    expect(answers[0]!.text).not.toContain('somewhere.org')
    expect(answers[1]).toEqual({ id: 2, dropped: { stage: 'length', reason: 'too-few-characters', detail: '5' } })
  })

  it('html and wikitext: give the text', async () => {
    const prose = 'A paragraph of the page that is long enough to be taken for its content, with a full stop. '.repeat(
      3,
    )
    const html = await serve(await createWorkerStage('html'), [
      JSON.stringify({ id: 1, text: `<html><head><title>T</title></head><body><p>${prose}</p></body></html>` }),
      JSON.stringify({ id: 2, text: '<html></html>' }),
    ])
    expect(html.answers[0]).toMatchObject({ id: 1, text: prose.trim(), metadata: { title: 'T' } })
    expect(html.answers[1]).toEqual({ id: 2, dropped: { stage: 'extract', reason: 'empty' } })
    const wiki = await serve(await createWorkerStage('wikitext'), [
      JSON.stringify({ text: "'''Bold''' [[link|word]]" }),
    ])
    expect(wiki.answers[0]!.text).toBe('Bold word')
  })

  it('signatures: equal texts have equal keys, near ones share a band', async () => {
    // Letters only: figures do not count in comparisons of words.
    const words = Array.from({ length: 300 }, (_, index) =>
      ((index * 7919) % 1009).toString(26).replace(/\d/g, (d) => 'qrstuvwxyz'[+d]!),
    )
    const near = [...words.slice(0, 299), 'changed'].join(' ')
    const { answers } = await serve(await createWorkerStage('signatures'), [
      JSON.stringify({ id: 1, text: words.join(' ') }),
      JSON.stringify({ id: 2, text: words.join(' ') }),
      JSON.stringify({ id: 3, text: near }),
    ])
    expect(answers[0]!.exact).toBe(answers[1]!.exact)
    expect(answers[0]!.minhash).toEqual(answers[1]!.minhash)
    expect(answers[2]!.exact).not.toBe(answers[0]!.exact)
    const bands = answers[2]!.minhash as string[]
    expect(bands.some((key, band) => key === (answers[0]!.minhash as string[])[band])).toBe(true)
  })

  it('decontaminate: removes the test item and names it', async () => {
    const stage = await createWorkerStage('decontaminate', { decontaminate: [join(folder, 'test.jsonl')] })
    const side = 'words of no importance stand here to fill the page with something else. '.repeat(20)
    const { answers } = await serve(stage, [
      JSON.stringify({ id: 1, text: `${side}${question} ${side}` }),
      JSON.stringify({ id: 2, text: side }),
      JSON.stringify({ id: 3, text: question }),
    ])
    expect(answers[0]!.text).not.toContain('northern sea')
    expect(answers[0]!.pieces).toHaveLength(2)
    expect(answers[0]!.overlaps).toMatchObject([{ testSet: 'test.jsonl', item: '1', field: 'question' }])
    expect(answers[1]).toEqual({ id: 2, text: side })
    expect(answers[2]).toMatchObject({ id: 3, dropped: { reason: 'nothing-left' } })
  })

  it.each(['filter', 'decontaminate'] as const)('%s: names the option that it needs', async (name) => {
    await expect(createWorkerStage(name)).rejects.toThrow(ConfigError)
  })

  it('are all tested here', () => {
    expect([...workerStageNames].sort()).toEqual(['decontaminate', 'filter', 'html', 'signatures', 'wikitext'])
  })
})
