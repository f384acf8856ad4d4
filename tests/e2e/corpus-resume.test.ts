// A build that is killed at any moment goes on and gives the same bytes, with any number of workers; a full disk,
// changed options and damaged files are noticed, and nothing older is lost.

import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import { type CorpusManifest, readCorpus, readManifest } from '../../src/corpus/index.ts'
import { isFull } from '../grid.ts'
import {
  type FixtureCounts,
  runCli,
  smallPieces,
  snapshot,
  temporaryFolder,
  writeInventedInputs,
} from './corpus-fixture.ts'

const folder = temporaryFolder('resume')
const inputs = join(folder.path, 'inputs')
const reference = join(folder.path, 'reference')
let planted: FixtureCounts
let expected: Record<string, string>
/** The same inputs with `--seed 5`, from the test of changed options. */
let reseeded: Record<string, string>
/** Milliseconds that an undisturbed run works after it has started up. */
let workMs: number

const build = (out: string, ...more: string[]) => [
  ...['corpus', 'build', '--out', out, '--source', `jsonl:${inputs}`, '--filter', 'length'],
  ...[...smallPieces, ...more],
]

beforeAll(async () => {
  planted = writeInventedInputs(inputs, 7)
  let started = 0
  const result = await runCli(build(reference, '--workers', '2'), { onStart: () => (started = performance.now()) })
  expect(result.stderr).not.toMatch(/error/i)
  expect(result.code).toBe(0)
  workMs = performance.now() - started
  expected = snapshot(reference)
})
afterAll(() => folder.dispose())

describe('an undisturbed build', () => {
  it('keeps and drops what was planted, and accounts for every document', async () => {
    const manifest = await readManifest(reference)
    const stages = Object.fromEntries(manifest.stages.map((stage) => [stage.stage, stage]))
    expect(stages.read!.dropped['broken-json']).toBe(planted.broken)
    expect(stages.length!.dropped['too-few-characters']).toBe(planted.short)
    const duplicates =
      stages['dedup-exact']!.dropped['exact-duplicate']! + stages['dedup-near']!.dropped['near-duplicate']!
    expect(duplicates).toBe(planted.exactDuplicates + planted.nearDuplicates)
    expect(manifest.documents).toBe(planted.documents - planted.short - duplicates)
    expectBalance(manifest)
    expect(manifest.parts.length).toBeGreaterThan(2)
    expect(manifest.parts.every(({ textBytes }) => textBytes <= 200_000)).toBe(true)
    // The last file is cut into segments; nothing intermediate is left.
    expect(Object.keys(expected).some((path) => /work|partial|tmp|lock/.test(path))).toBe(false)
  })

  it('keeps the order of the inputs and the origin of every document', async () => {
    let last = { path: '', offset: -1 }
    let documents = 0
    for await (const { source, text } of readCorpus(reference, { verify: true })) {
      expect(source.path > last.path || (source.path === last.path && source.offset > last.offset)).toBe(true)
      expect(text.length).toBeGreaterThan(0)
      last = source
      documents += 1
    }
    expect(documents).toBe((await readManifest(reference)).documents)
  })
})

const expectBalance = (manifest: CorpusManifest): void => {
  let out = manifest.stages[0]!.documentsIn
  for (const { stage, documentsIn, documentsOut, added, dropped } of manifest.stages) {
    expect(documentsIn, stage).toBe(out)
    expect(documentsIn + added - documentsOut, stage).toBe(
      Object.values(dropped).reduce((sum, count) => sum + count, 0),
    )
    out = documentsOut
  }
  expect(out).toBe(manifest.documents)
}

describe('a killed build', () => {
  const manyKills = isFull ? 12 : 4
  it(`gives the bytes of an undisturbed one after ${manyKills} kills at random moments`, async () => {
    const random = createRandom(1)
    let kills = 0
    let round = 0
    let partial = 0
    for (let attempt = 0; kills < manyKills && attempt < 120; attempt++) {
      const out = join(folder.path, `killed-${round}`)
      const workers = String(1 + random.integer(2))
      const delay = random.float() * workMs
      const fresh = !existsSync(out)
      let started = 0
      const { code, signal, stderr } = await runCli(build(out, '--workers', workers), {
        onStart: (child) => {
          started = performance.now()
          setTimeout(() => child.kill('SIGKILL'), delay)
        },
      })
      if (signal === 'SIGKILL') {
        kills += 1
        if (existsSync(join(out, 'work', 'documents'))) partial += 1
        continue
      }
      expect(stderr).not.toMatch(/error/i)
      expect(code).toBe(0)
      expect(snapshot(out)).toEqual(expected)
      // The machine may have become faster since the first run; the kills must stay inside the work of a whole run.
      if (fresh) workMs = Math.min(workMs, performance.now() - started)
      rmSync(out, { recursive: true })
      round += 1
    }
    expect(kills).toBe(manyKills)
    // The kills must have left finished pieces behind, not only hit the time before and after the work.
    expect(partial).toBeGreaterThan(isFull ? 3 : 0)
    const out = join(folder.path, `killed-${round}`)
    expect((await runCli(build(out, '--workers', '2'))).code).toBe(0)
    expect(snapshot(out)).toEqual(expected)
  })
})

describe('the number of workers', () => {
  it.runIf(isFull).each([1, 3])('%d gives the bytes of 2 (test:full)', async (workers) => {
    const out = join(folder.path, `workers-${workers}`)
    expect((await runCli(build(out, '--workers', String(workers)))).code).toBe(0)
    expect(snapshot(out)).toEqual(expected)
  })
})

describe('a finished corpus', () => {
  it('is unchanged by the same command, rebuilt when damaged, and kept when the options change', async () => {
    const out = join(folder.path, 'finished')
    cpSync(reference, out, { recursive: true })
    const data = join(out, readdirSync(out).find((name) => name.startsWith('data-'))!)
    const part = join(data, 'part-00001.jsonl.gz')
    const before = (await stat(part)).mtimeMs
    const again = await runCli(build(out))
    expect(again.code).toBe(0)
    expect(again.stdout).toMatch(/up to date/)
    expect((await stat(part)).mtimeMs).toBe(before)

    const changed = await runCli(build(out, '--seed', '5'))
    expect(changed.code).toBe(2)
    expect(changed.stderr).toMatch(/got changes: dedup\. Pass --rebuild/)
    expect(snapshot(out)).toEqual(expected)

    truncateSync(part, 100)
    const mended = await runCli(build(out))
    expect(mended.stderr).toMatch(/part-00001.jsonl.gz is missing or damaged/)
    expect(snapshot(out)).toEqual(expected)

    appendFileSync(join(inputs, 'input-00.jsonl'), '\n')
    try {
      const input = await runCli(build(out))
      expect(input.code).toBe(2)
      expect(input.stderr).toMatch(/changed input .*input-00\.jsonl/)
    } finally {
      truncateSync(join(inputs, 'input-00.jsonl'), (await stat(join(inputs, 'input-00.jsonl'))).size - 1)
    }

    const rebuilt = await runCli(build(out, '--seed', '5', '--rebuild'))
    expect(rebuilt.code).toBe(0)
    expect((await readManifest(out)).fingerprint).not.toBe((await readManifest(reference)).fingerprint)
    expect(readdirSync(out).filter((name) => name.startsWith('data-'))).toHaveLength(1)
    reseeded = snapshot(out)
  })

  it('is not written into a folder of something else', async () => {
    const out = join(folder.path, 'foreign')
    mkdirSync(out)
    writeFileSync(join(out, 'thesis.txt'), 'mine')
    const result = await runCli(build(out))
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(/Expected an empty folder or a corpus/)
    expect(readdirSync(out)).toEqual(['thesis.txt'])
  })
})

describe('a full disk', () => {
  // A limit on file sizes refuses writes for any user, where a small disk of its own would need the right to mount.
  it('is a typed error, keeps the older corpus, and the same command resumes', async () => {
    const out = join(folder.path, 'full')
    cpSync(reference, out, { recursive: true })
    const args = build(out, '--seed', '5', '--rebuild', '--workers', '2')
    const stopped = await runCli(args, { shellPrefix: 'ulimit -f 40' })
    expect(stopped.code).toBe(1)
    expect(stopped.stderr).toMatch(/error: File size limit reached.*Finished work is kept/)
    expect(stopped.stderr).not.toMatch(/\n\s+at /)
    const kept = Object.entries(snapshot(out)).filter(([path]) => path in expected)
    expect(Object.fromEntries(kept)).toEqual(expected)

    expect((await runCli(args)).code).toBe(0)
    expect(snapshot(out)).toEqual(reseeded)
  })
})
