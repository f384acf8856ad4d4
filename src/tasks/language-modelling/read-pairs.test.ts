import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { type MinimalPair, readMinimalPairs } from './minimal-pairs.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-pairs-'))
afterAll(() => rmSync(root, { recursive: true }))

const collect = async (...paths: string[]) => {
  const pairs: MinimalPair[] = []
  for await (const pair of readMinimalPairs(paths)) pairs.push(pair)
  return pairs
}
const line = (good: string, more = {}) =>
  `${JSON.stringify({ sentence_good: good, sentence_bad: `${good} not`, ...more })}\n`

test('readMinimalPairs reads files, folders and archives, compressed or not', async () => {
  const folder = join(root, 'data')
  const long = `${'deep/'.repeat(22)}inside`
  mkdirSync(join(folder, long), { recursive: true })
  writeFileSync(join(folder, 'a_paradigm.jsonl'), line('A', { UID: 'named', field: 'syntax' }) + line('B'))
  writeFileSync(join(folder, long, 'c.jsonl.gz'), gzipSync(line('C')))
  writeFileSync(join(folder, 'notes.txt'), 'nothing')
  const wanted = [
    { good: 'A', bad: 'A not', paradigm: 'named', field: 'syntax' },
    { good: 'B', bad: 'B not', paradigm: 'a_paradigm', field: undefined },
  ]
  const inside = { good: 'C', bad: 'C not', paradigm: 'c', field: undefined }
  expect(await collect(join(folder, 'a_paradigm.jsonl'))).toEqual(wanted)
  expect(await collect(folder)).toEqual([...wanted, inside])
  writeFileSync(join(folder, long, 'c.jsonl'), line('C'))
  rmSync(join(folder, long, 'c.jsonl.gz'))
  for (const [name, flags] of [
    ['ustar.tar', ['--format=ustar', '-cf']],
    ['packed.tar.gz', ['--format=ustar', '-czf']],
    ['packed.tgz', ['--format=gnu', '-czf']],
    ['pax.tar', ['--format=pax', '-cf']],
  ] as const) {
    execFileSync('tar', [...flags, join(root, name), '-C', root, '--sort=name', 'data'])
    expect(await collect(join(root, name))).toEqual([...wanted, inside])
  }
})

describe('damage of minimal pairs', () => {
  test.each([
    ['{', 'Expected JSON'],
    ['null', 'sentence_good'],
    ['{"sentence_good":"a"}', 'sentence_bad'],
    ['{"sentence_good":"","sentence_bad":"b"}', 'sentence_good'],
  ])('in a line is named: %s', async (bad, message) => {
    const path = join(root, 'bad.jsonl')
    writeFileSync(path, `${line('A')}\n${bad}\n`)
    await expect(collect(path)).rejects.toThrow(message)
    await expect(collect(path)).rejects.toMatchObject({ line: 3, file: path })
  })

  test('in an archive is named, at every byte of a header and at every length', async () => {
    writeFileSync(join(root, 'one.jsonl'), line('A'))
    execFileSync('tar', ['-cf', join(root, 'whole.tar'), '-C', root, 'one.jsonl'])
    const whole = readFileSync(join(root, 'whole.tar'))
    const path = join(root, 'broken.tar')
    // Bytes 154 and 155 stand behind the checksum's digits and mean nothing.
    for (let at = 0; at < 512; at += at === 147 ? 14 : 7) {
      const broken = Buffer.from(whole)
      broken[at] ^= 0xff
      writeFileSync(path, broken)
      await expect(collect(path), `byte ${at}`).rejects.toThrow('tar header')
    }
    writeFileSync(path, whole.subarray(0, 520))
    await expect(collect(path)).rejects.toThrow('tar header')
    await expect(collect(join(root, 'nothing.jsonl'))).rejects.toThrow()
  })
})

const blimp = '../shared/data/blimp/blimp-subset.tar.gz'
test.skipIf(!existsSync(blimp))(
  'readMinimalPairs reads the 17,000 pairs of 34 paradigms (needs the shared data)',
  async () => {
    const pairs = await collect(blimp)
    expect(pairs).toHaveLength(17_000)
    expect(new Set(pairs.map(({ paradigm }) => paradigm)).size).toBe(34)
    expect(pairs[0]).toEqual({
      good: 'Who should Derek hug after shocking Richard?',
      bad: 'Who should Derek hug Richard after shocking?',
      paradigm: 'adjunct_island',
      field: 'syntax',
    })
  },
)
