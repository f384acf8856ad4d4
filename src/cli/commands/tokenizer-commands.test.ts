import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildCorpus, cutText } from '../../corpus/index.ts'
import { openTokens, verifyShards } from '../../data/index.ts'
import { loadTokenizer } from '../../tokenizers/index.ts'
import { runProgram } from '../program.ts'
import { commands } from './index.ts'

const fixtures = join(import.meta.dirname, '../../../tests/tokenizers/fixtures')
const sample = readFileSync(join(fixtures, 'training-sample.txt'), 'utf8')

const run = async (...argv: string[]) => {
  let stdout = ''
  let stderr = ''
  const terminal = { stdout: (text: string) => void (stdout += text), stderr: (text: string) => void (stderr += text) }
  const signal = new AbortController().signal
  const code = await runProgram(['tokenizer', ...argv], { commands, version: '0', signal, terminal })
  return { code, stdout, stderr }
}

/** No line is wider than a terminal. */
const expectNarrow = (text: string) => expect(text.split('\n').filter((line) => line.length > 80)).toEqual([])

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tunesmith-test-'))
  mkdirSync(join(root, 'text'))
  for (let i = 0; i < 12; i++) {
    const text = sample.slice(i * 5000, i * 5000 + 5000)
    writeFileSync(join(root, 'text', `${i}.txt.gz`), gzipSync(text))
  }
})
afterAll(() => rmSync(root, { recursive: true }))

describe('tokenizer train and tokenizer encode', () => {
  test('make a tokenizer and shards from files', async () => {
    const tokenizer = join(root, 'tokenizer')
    const trained = await run(
      'train',
      join(root, 'text'),
      '--vocab-size',
      '700',
      '--validation',
      '0.2',
      '--out',
      tokenizer,
      '--json',
    )
    expect(trained.code).toBe(0)
    const result = JSON.parse(trained.stdout)
    expect(result).toMatchObject({ out: tokenizer, type: 'bpe', vocabSize: 700 })
    expect(result.documents + result.report.documents).toBe(12)
    expect((await loadTokenizer(tokenizer)).vocabSize).toBe(700)
    const shards = join(root, 'shards')
    const encoded = await run(
      'encode',
      '--tokenizer',
      tokenizer,
      '--out',
      shards,
      `${root}/text/*.gz`,
      '--validation',
      '0',
    )
    expect(encoded.code).toBe(0)
    expect(encoded.stdout).toMatch(/uint16.*\ntrain: [\d.]+k tokens in 12 documents, 1 shard,/)
    expectNarrow(encoded.stdout)
    expect((await verifyShards(shards)).faults).toEqual([])
    const source = await openTokens(shards)
    const ids = source.readTokens(0, source.documentEnd(0))
    expect((await loadTokenizer(tokenizer)).decode(ids)).toBe(`${sample.slice(0, 5000)}<|endoftext|>`)
    source.close()
  })

  test('read a corpus, and train from counts alone', async () => {
    const corpus = join(root, 'corpus')
    await buildCorpus({
      out: corpus,
      source: [`text:${join(root, 'text')}`],
      filter: ['none'],
      dedup: ['none'],
      workers: 1,
    } as never)
    const counts = join(root, 'counts.gz')
    const common = ['--type', 'wordpiece', '--vocab-size', '500', '--validation', '0']
    const first = await run('train', '--corpus', corpus, ...common, '--out', join(root, 'a'), '--save-counts', counts)
    expect([first.code, first.stderr.includes('error')]).toEqual([0, false])
    expect(first.stdout).toMatch(/wordpiece,\s+500\s+tokens,\s+from\s[\d.]+\s\w+\sin\s+12\s+documents/)
    expectNarrow(first.stdout)
    expect((await run('train', ...common, '--from-counts', counts, '--out', join(root, 'b'))).code).toBe(0)
    const files = ['tokenizer.json', 'vocab.txt'].map((name) =>
      ['a', 'b'].map((folder) => readFileSync(join(root, folder, name), 'utf8')),
    )
    for (const [a, b] of files) expect(b).toBe(a)
    const shards = await run(
      'encode',
      '--tokenizer',
      join(root, 'a'),
      '--corpus',
      corpus,
      '--out',
      join(root, 'c'),
      '--json',
    )
    const { train, validation } = JSON.parse(shards.stdout)
    expect(train.documents + validation.documents).toBe(12)
  })

  test('replace a tokenizer only where that is asked for', async () => {
    const file = join(root, 'taken', 'tokenizer.json')
    mkdirSync(join(root, 'taken'))
    writeFileSync(file, '{"precious":1}')
    const { stderr, code } = await run('train', '--out', join(root, 'taken'), join(root, 'text'))
    expect(stderr).toMatch(/found one in .*taken\. Name another folder, or set `--overwrite`/)
    expect([code, readFileSync(file, 'utf8')]).toEqual([2, '{"precious":1}'])
    // Goes on, and finds no text.
    expect((await run('train', '--out', join(root, 'taken'), '--overwrite')).stderr).toMatch(/No text was given/)
  })

  test('say what is missing and touch nothing of others', async () => {
    expect((await run('train', '--out', join(root, 'x'))).stderr).toMatch(/No text was given/)
    expect((await run('train', '--out', join(root, 'x'), join(root, 'nothing.txt'))).stderr).toMatch(/nothing\.txt/)
    expect((await run('train', '--out', join(root, 'x'), '--corpus', join(root, 'text'))).stderr).toMatch(
      /Expected a corpus/,
    )
    expect((await run('train', '--vocabsize', '5', '--out', 'x')).stderr).toMatch(/Did you mean `--vocab-size`/)
    const mine = join(root, 'mine')
    mkdirSync(mine)
    writeFileSync(join(mine, 'thesis.txt'), 'precious')
    const refused = await run('train', join(root, 'text'), '--vocab-size', '300', '--out', mine)
    expect([refused.code, readFileSync(join(mine, 'thesis.txt'), 'utf8')]).toEqual([2, 'precious'])
    expect(refused.stderr).toMatch(/thesis\.txt/)
  })

  test('show an example in their help', async () => {
    for (const name of ['train', 'encode'])
      expect((await run(name, '--help')).stdout).toContain(`node bin/tunesmith.js tokenizer ${name} --`)
  })
})

describe('cutText', () => {
  async function cut(text: string, most: number, chunk: number): Promise<string[]> {
    const bytes = Buffer.from(text)
    async function* chunks() {
      for (let i = 0; i < bytes.length; i += chunk) yield bytes.subarray(i, i + chunk)
    }
    const pieces: string[] = []
    for await (const piece of cutText(chunks(), most)) pieces.push(piece)
    return pieces
  }

  test('cuts after lines, words or characters, and the same way for any chunks', async () => {
    expect(await cut('one\ntwo\nthree\nfour\n', 9, 3)).toEqual(['one\ntwo\n', 'three\n', 'four\n'])
    expect(await cut('aaaa bbbb cccc', 8, 100)).toEqual(['aaaa ', 'bbbb ', 'cccc'])
    expect(await cut('ééééé', 5, 1)).toEqual(['éé', 'éé', 'é'])
    const text = sample.slice(-3000)
    const whole = await cut(text, 100, 1e6)
    expect(whole.join('')).toBe(text)
    for (const chunk of [1, 7, 64]) expect(await cut(text, 100, chunk)).toEqual(whole)
  })
})
