// `corpus build --engine spark` on addresses: inputs are listed and read, and the corpus is written, through Spark's file systems. The corpus
// is that of the embedded engine over the same files, document by document.

import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CorpusManifest, readManifest } from '../../src/corpus/index.ts'
import { missingSpark, runCli, smallPieces, temporaryFolder, writeInventedInputs } from './corpus-fixture.ts'
import { missingHdfs, startHdfs } from './hdfs-server.ts'
import { startWebHdfs, type WebHdfsServer } from './webhdfs-server.ts'

const reason = missingSpark()
const spark = ['--engine', 'spark', '--master', 'local[2,4]', '--spark-conf', 'spark.ui.enabled=false']

describe.skipIf(reason !== undefined)(`corpus build on addresses (skipped: ${reason ?? 'Spark is there'})`, () => {
  const folder = temporaryFolder('corpus-addresses')
  const cache = temporaryFolder('corpus-addresses-cache')
  const before = process.env.XDG_CACHE_HOME
  const path = (name: string) => join(folder.path, name)
  let server: WebHdfsServer
  let one: CorpusManifest

  /** Sources below a root, one of them by a list of a glob and a file. */
  const sourcesIn = (root: string): string[] => {
    const list = path(`list-${root.split(':')[0]!.replaceAll('/', '-')}.txt`)
    writeFileSync(list, `${root}/more/*.jsonl*\n# a comment\n${root}/more/deep/last.jsonl\n`)
    return [`jsonl:${root}/in`, `jsonl:@${list}`, `text:${root}/texts`]
  }
  const common = ['--dedup', 'exact', 'near', 'lines', ...smallPieces]

  /** Lines of files of a corpus, with the paths of the embedded engine. */
  const lines = (out: string, files: CorpusManifest['dropped'], root: string): string[] =>
    files.map((file) =>
      gunzipSync(readFileSync(join(out, file.path)))
        .toString()
        .replaceAll(root, folder.path),
    )

  const expectSame = async (out: string, root: string) => {
    const other = await readManifest(path(out))
    expect(other.stages).toEqual(one.stages)
    expect(other.inputs.map((input) => ({ ...input, path: input.path.replace(root, folder.path) }))).toEqual(one.inputs)
    expect(lines(path(out), other.parts, root)).toEqual(lines(path('duckdb'), one.parts, root))
    expect(lines(path(out), other.dropped, root)).toEqual(lines(path('duckdb'), one.dropped, root))
    // Samples are chosen by the hash of a document's name, which an address is part of.
    const reportOf = (place: string, { report }: CorpusManifest, own: string): object => {
      const text = readFileSync(join(place, report.path), 'utf8').replaceAll(own, folder.path)
      return { ...JSON.parse(text), samples: undefined }
    }
    expect(reportOf(path(out), other, root)).toEqual(reportOf(path('duckdb'), one, root))
    const names = readdirSync(path(out)).filter((name) => !name.startsWith('.'))
    expect(names.sort()).toEqual([other.report.path.split('/')[0], 'corpus.json'].sort())
    return other
  }

  beforeAll(async () => {
    process.env.XDG_CACHE_HOME = cache.path
    server = await startWebHdfs(folder.path)
    const counts = writeInventedInputs(path('in'), 5)
    expect(counts.documents).toBeGreaterThan(20)
    mkdirSync(path('more/deep'), { recursive: true })
    mkdirSync(path('texts'))
    const [first, second] = ['in/input-00.jsonl', 'in/input-02.jsonl'].map((name) => readFileSync(path(name), 'utf8'))
    // A name of signs that are patterns elsewhere, a file that is cut off in its compression, and one that is empty.
    writeFileSync(path('more/a copy, [1] of *.jsonl'), first)
    writeFileSync(path('more/cut.jsonl.gz'), gzipSync(second))
    truncateSync(path('more/cut.jsonl.gz'), 600)
    writeFileSync(path('more/deep/last.jsonl'), second.split('\n').slice(0, 3).join('\n'))
    writeFileSync(path('texts/empty.txt'), '')
    writeFileSync(path('texts/.hidden.txt'), 'Not to be read.')
    // Larger than a row of bytes, and than a file that is read at once.
    writeFileSync(path('texts/large.txt'), `${JSON.parse(first.split('\n')[0]!).text}\n\n`.repeat(1500))
    const { code, stderr } = await runCli([
      ...['corpus', 'build', '--out', path('duckdb'), '--source', ...sourcesIn(folder.path)],
      ...common,
    ])
    expect(code, stderr).toBe(0)
    one = await readManifest(path('duckdb'))
    expect(one.stages[0].dropped['damaged-file']).toBeGreaterThan(0)
  }, 600_000)
  afterAll(async () => {
    process.env.XDG_CACHE_HOME = before
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    await server.close()
    folder.dispose()
    cache.dispose()
  })

  it('of a server of files: reads and writes there, finds the corpus again, and names what changed', {
    timeout: 900_000,
  }, async () => {
    const root = server.address
    const words = ['corpus', 'build', '--out', `${root}/remote`, '--source', ...sourcesIn(root), ...common, ...spark]
    const built = await runCli([...words, '--json'])
    expect(built.code, built.stderr).toBe(0)
    expect(JSON.parse(built.stdout)).toMatchObject({ unchanged: false, out: `${root}/remote` })
    await expectSame('remote', root)
    expect(server.counts.get('CREATE')).toBeGreaterThan(4)
    // Only the plan of a build and its lock were local.
    const left = readdirSync(cache.path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(left.map(({ name }) => name)).toEqual([])

    const again = await runCli(words)
    expect(again.stdout, again.stderr).toContain('is up to date')
    appendFileSync(path('more/deep/last.jsonl'), '\n{"text": "one more"}')
    const changed = await runCli(words)
    expect(changed.code).toBe(2)
    expect(changed.stderr).toContain(`changed input ${root}/more/deep/last.jsonl`)
    const foreign = await runCli(words.map((word) => (word === `${root}/remote` ? `${root}/in` : word)))
    expect(foreign.stderr).toContain('Expected an empty folder or a corpus for `--out`, got')
  })

  it('of files on this machine', { timeout: 600_000 }, async () => {
    writeFileSync(
      path('more/deep/last.jsonl'),
      readFileSync(path('in/input-02.jsonl'), 'utf8').split('\n').slice(0, 3).join('\n'),
    )
    const root = `file://${folder.path}`
    const words = ['--source', ...sourcesIn(root), ...common, ...spark]
    const built = await runCli(['corpus', 'build', '--out', `${root}/files`, ...words])
    expect(built.code, built.stderr).toBe(0)
    await expectSame('files', root)
  })

  const noHdfs = missingHdfs()
  it.skipIf(noHdfs !== undefined)(
    `of a real HDFS, whose data node ends and comes back${noHdfs === undefined ? '' : ` (skipped: ${noHdfs})`}`,
    { timeout: 900_000 },
    async () => {
      const own = temporaryFolder('corpus-hdfs')
      const hdfs = await startHdfs(own.path)
      try {
        const root = `${hdfs.address}/crawl`
        hdfs.shell(['-mkdir', '-p', root])
        hdfs.shell(['-put', ...['in', 'more', 'texts'].map(path), root])
        const words = ['--source', ...sourcesIn(root), ...common, ...spark]
        let interrupted: Promise<void> | undefined
        const built = await runCli(['corpus', 'build', '--out', `${root}/hdfs`, ...words], {
          onSpawn: ({ stderr }) =>
            stderr?.on('data', (data: Buffer) => {
              if (data.includes('Building on Spark')) interrupted ??= hdfs.interruptDataNode(3000)
            }),
        })
        expect(built.code, built.stderr).toBe(0)
        expect(interrupted).toBeDefined()
        await interrupted
        hdfs.shell(['-get', `${root}/hdfs`, folder.path])
        await expectSame('hdfs', root)
      } finally {
        await hdfs.close()
        own.dispose()
      }
    },
  )

  it('names what is missing, in one line', { timeout: 600_000 }, async () => {
    const build = (out: string, source: string) =>
      runCli(['corpus', 'build', '--out', out, '--source', source, ...spark])
    const connector = await build(path('none'), 'text:s3a://bucket/texts')
    expect(connector.code).toBe(1)
    expect(connector.stderr).toMatch(
      /^error: .*Spark has no connector for addresses of s3a: add `--spark-conf spark\.jars\.packages=org\.apache\.hadoop:hadoop-aws:\d+\.\d+\.\d+`, or put its jars into Spark's folder jars\.\n$/m,
    )
    const nothing = await build(path('none'), `jsonl:${server.address}/nowhere`)
    expect(nothing.stderr).toContain('Expected a file, a folder or a glob, got an address where nothing is. Check it.')
    const embedded = await runCli(['corpus', 'build', '--out', path('none'), '--source', `text:${server.address}/in`])
    expect(embedded.stderr).toMatch(
      /`--source` needs the engine spark for webhdfs:|`source\[0\]` needs the engine spark/,
    )
    expect(existsSync(path('none/corpus.json'))).toBe(false)
  })
})
