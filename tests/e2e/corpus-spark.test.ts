// `corpus build --engine spark` on a real Spark, on this machine: the corpus of the embedded engine, document by
// document, though a worker is killed in the middle.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { type CorpusManifest, readManifest } from '../../src/corpus/index.ts'
import { missingSpark, runCli, smallPieces, temporaryFolder, writeInventedInputs } from './corpus-fixture.ts'

const reason = missingSpark()

/** Kills the first worker process of a stage under `folder`; resolves with whether there was one. */
const killWorker = (folder: string, stage: string, until: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => {
    const look = () => {
      if (until.aborted) return resolve(false)
      const list = spawn('ps', ['-eo', 'pid=,args='])
      let text = ''
      list.stdout.on('data', (data: Buffer) => {
        text += data.toString()
      })
      list.on('close', () => {
        const line = text.split('\n').find((one) => one.includes(folder) && one.trim().endsWith(`worker.mjs ${stage}`))
        if (line === undefined) return void setTimeout(look, 20)
        process.kill(Number(line.trim().split(' ')[0]), 'SIGKILL')
        resolve(true)
      })
    }
    look()
  })

describe.skipIf(reason !== undefined)(`corpus build on Spark (skipped: ${reason ?? 'it is there'})`, () => {
  const folder = temporaryFolder('corpus-spark')
  afterAll(() => folder.dispose())
  const path = (name: string) => join(folder.path, name)

  const lines = (out: string, files: CorpusManifest['dropped']): string[] =>
    files.map((file) => gunzipSync(readFileSync(join(out, file.path))).toString())

  it('gives the corpus of the embedded engine, though a worker is killed', { timeout: 600_000 }, async () => {
    const counts = writeInventedInputs(path('in'), 5)
    const question = readFileSync(path('in/input-00.jsonl'), 'utf8').split('\n')[0]!
    writeFileSync(
      path('test.jsonl'),
      `${JSON.stringify({ q: (JSON.parse(question) as { text: string }).text.slice(0, 200) })}\n`,
    )
    const common = [
      ...[
        '--source',
        `jsonl:${path('in')}`,
        '--dedup',
        'exact',
        'near',
        'lines',
        '--decontaminate',
        path('test.jsonl'),
      ],
      ...smallPieces,
    ]
    const embedded = await runCli(['corpus', 'build', '--out', path('duckdb'), ...common])
    expect(embedded.code, embedded.stderr).toBe(0)
    const ended = new AbortController()
    const killed = killWorker(path('spark'), 'documents', ended.signal)
    const spark = await runCli([
      ...['corpus', 'build', '--out', path('spark'), ...common, '--json'],
      ...['--engine', 'spark', '--master', 'local[2,4]', '--spark-conf', 'spark.ui.enabled=false'],
    ])
    ended.abort()
    expect(spark.code, spark.stderr).toBe(0)
    expect(await killed).toBe(true)
    expect(JSON.parse(spark.stdout)).toMatchObject({ unchanged: false, out: path('spark') })

    const [one, other] = [await readManifest(path('duckdb')), await readManifest(path('spark'))]
    expect(other.stages).toEqual(one.stages)
    expect(one.stages[0]).toMatchObject({ documentsIn: counts.documents + counts.broken })
    expect(one.stages.find(({ stage }) => stage === 'dedup-near')!.dropped['near-duplicate']).toBeGreaterThan(0)
    expect(one.stages.find(({ stage }) => stage === 'decontaminate')!.changed).toBeGreaterThan(0)
    expect(lines(path('spark'), other.parts)).toEqual(lines(path('duckdb'), one.parts))
    expect(lines(path('spark'), other.dropped)).toEqual(lines(path('duckdb'), one.dropped))
    expect(readFileSync(join(path('spark'), other.report.path))).toEqual(
      readFileSync(join(path('duckdb'), one.report.path)),
    )
    expect(other.fingerprint).toBe(one.fingerprint)
    expect(existsSync(path('spark/work'))).toBe(false)
    // Either engine finds the corpus of the other up to date.
    const again = await runCli(['corpus', 'build', '--out', path('spark'), ...common])
    expect(again.stdout).toContain('is up to date')
  })

  it('names a cluster that does not exist', { timeout: 300_000 }, async () => {
    writeFileSync(path('a.txt'), 'Some text.\n')
    const args = ['--source', `text:${path('a.txt')}`, '--engine', 'spark', '--master', 'nonsense']
    const { code, stderr } = await runCli(['corpus', 'build', '--out', path('none'), ...args])
    expect(stderr).toMatch(/error: Spark ended with exit code 1: .*[Mm]aster/)
    expect(code).toBe(1)
  })
})
