// A build on Spark without Spark: the SQL, the worker's stages on rows, what is shipped, and how faults are told.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError, parseConfig, SetupError } from '../../core/index.ts'
import { buildCorpus } from '../build/build.ts'
import { corpusBuildSchema } from '../build/options.ts'
import { type BuildSettings, resolveBuild } from '../build/resolve-options.ts'
import { openDeduplicator } from '../build/signatures.ts'
import { readBuildFiles, writeBuildFiles } from './build-files.ts'
import { parseSparkConf } from './open-spark.ts'
import { quoteSql, type ScriptOptions, sparkScript } from './script.ts'
import { serveRows } from './serve-rows.ts'
import { shipWorker } from './ship-worker.ts'
import type { BuildStageName } from './stages.ts'
import { findSparkSubmit, reasonOf, runSpark, submitArguments } from './submit.ts'

let folder: string
const started = Date.now()
let settings: BuildSettings
const prose = (topic: string) =>
  `${topic} is a river that flows through the old town, and people have crossed it for hundreds of years. `.repeat(4)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-spark-'))
  writeFileSync(join(folder, 'a.jsonl'), `${JSON.stringify({ text: prose('One') })}\n{"text": "cut\n`)
  writeFileSync(
    join(folder, 'b.jsonl'),
    `${JSON.stringify({ text: 'short' })}\n${JSON.stringify({ text: prose('One') })}\n`,
  )
  writeFileSync(join(folder, 'domains.txt'), 'bad.example\n')
  settings = await resolveBuild(
    parseConfig(
      corpusBuildSchema,
      {
        out: 'out',
        source: [`jsonl:${folder}/*.jsonl`],
        filter: ['length', `url:domainsFile=${join(folder, 'domains.txt')}`],
        dedup: ['exact', 'near', 'lines'],
      },
      'test',
    ),
  )
  await writeBuildFiles(join(folder, 'build'), { settings })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The rows that a stage answers, as fields. */
const serve = async (stage: BuildStageName, rows: readonly string[]): Promise<string[][]> => {
  let text = ''
  const output = new Writable({
    highWaterMark: 16,
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString()
      setImmediate(done)
    },
  })
  const input = Readable.from([Buffer.from(rows.map((row) => `${row}\n`).join(''))])
  await serveRows({ stage, build: join(folder, 'build'), input, output })
  return text.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')]))
}

const input = (name: string) => ({ source: 0, path: join(folder, name), bytes: 1, sha256: 'x'.repeat(64) })
const task = (piece: number, ...names: string[]) => JSON.stringify({ piece, inputs: names.map(input) })

describe('stages of a build', () => {
  it('documents: reads, filters and makes keys; bad records become drop rows', async () => {
    const rows = await serve('documents', [task(4, 'a.jsonl', 'b.jsonl')])
    const kinds = rows.map(([kind, piece, , item, row]) => `${kind} ${piece} ${item} ${row}`)
    expect(kinds.filter((kind) => !kind.startsWith('key'))).toEqual([
      'document 4 0 0',
      'drop 4 -1 1',
      'drop 4 -1 2',
      'document 4 0 3',
      'item 4 -1 \\N',
      'item 4 0 \\N',
      'summary \\N \\N \\N',
    ])
    const drops = rows.filter(([kind]) => kind === 'drop').map((fields) => JSON.parse(fields[7]!) as { reason: string })
    expect(drops.map(({ reason }) => reason)).toEqual(['broken-json', 'too-few-characters'])
    const keys = rows.filter(([kind]) => kind === 'key')
    // One key of exact, one row of 14 bands of near, and one line, for both documents.
    expect(keys.map((fields) => `${fields[5]} ${(JSON.parse(fields[8]!) as unknown[]).length}`)).toEqual([
      ...['0 6', '1 18', '2 3'],
      ...['0 6', '1 18', '2 3'],
    ])
    const summary = JSON.parse(rows.at(-1)![7]!) as { counts: { stage: string; documentsIn: number }[] }
    expect(summary.counts.map(({ stage, documentsIn }) => `${stage} ${documentsIn}`)).toEqual([
      'read 4',
      'length 3',
      'url 2',
    ])
  })

  it('read, then documents: a large file in segments has the rows of the same file in one piece', async () => {
    const raw = await serve('read', [task(0, 'b.jsonl')])
    const rows = raw.filter(([kind]) => kind === 'raw').map((f) => [f[1], f[2], f[4], f[7]].join('\t'))
    expect(rows).toHaveLength(2)
    const [whole, segments] = [await serve('documents', [task(0, 'b.jsonl')]), await serve('documents', rows)]
    const lines = (all: string[][]) =>
      all.flatMap((fields) => (/^(document|drop)$/.test(fields[0]!) ? [fields[7]] : []))
    expect(lines(segments)).toEqual(lines(whole))
    expect(lines(segments)).toHaveLength(2)
  })

  it('reads inputs whose bytes Spark passes on as it reads files', async () => {
    const [whole, large] = [
      await serve('documents', [task(0, 'a.jsonl', 'b.jsonl')]),
      await serve('read', [task(1, 'b.jsonl')]),
    ]
    const rowsOf = (text: string, ...names: string[]): string[] => {
      const { piece } = JSON.parse(text) as { piece: number }
      const chunks = names.flatMap((name, number) => {
        const bytes = readFileSync(join(folder, name))
        const half = 3 * Math.floor(bytes.length / 6)
        return [bytes.subarray(0, half), bytes.subarray(half)].map((part, chunk) =>
          ['fetched', piece, number, chunk, part.toString('base64')].join('\t'),
        )
      })
      return [['fetched', piece, -1, 0, text].join('\t'), ...chunks]
    }
    expect(await serve('documents', rowsOf(task(0, 'a.jsonl', 'b.jsonl'), 'a.jsonl', 'b.jsonl'))).toEqual(whole)
    expect(await serve('read', rowsOf(task(1, 'b.jsonl'), 'b.jsonl'))).toEqual(large)
    // The paths of records are those of the task, wherever its bytes are.
    const there = task(2, 'a.jsonl').replaceAll(folder, 's3a://bucket')
    const moved = await serve('documents', rowsOf(there, 'a.jsonl'))
    expect(moved.find(([kind]) => kind === 'document')![7]).toContain('"id":"s3a://bucket/a.jsonl#')
    await expect(serve('documents', ['fetched\t0\t0\t0\teA=='])).rejects.toThrow(/the task of a piece before its bytes/)
    const left = readdirSync(tmpdir()).filter((name) => name.startsWith('tunesmith-inputs-'))
    expect(left.filter((name) => statSync(join(tmpdir(), name)).mtimeMs > started)).toEqual([])
  })

  it('clusters: gives each member the first of its cluster', async () => {
    expect(await serve('clusters', ['3\t1', '4\t3', '2\t0'])).toEqual([
      ['0', '0'],
      ['1', '1'],
      ['2', '0'],
      ['3', '1'],
      ['4', '1'],
    ])
    expect(await serve('clusters', [])).toEqual([])
  })

  it('parts: groups items in order up to the size of a part', async () => {
    const rows = await serve('parts', ['0\t0\t-1\t0', '0\t0\t0\t20000000', '1\t0\t-1\t0', '1\t0\t0\t20000000'])
    expect(rows.map(([piece, , item, part]) => `${piece} ${item} ${part}`)).toEqual([
      '0 -1 0',
      '0 0 0',
      '1 -1 0',
      '1 0 1',
    ])
  })

  it('write: applies decisions of deduplication', async () => {
    const document = (id: string, text: string) =>
      JSON.stringify({ id, text, source: { kind: 'jsonl', path: 'p', offset: 0 }, metadata: {} })
    const rows = await serve('write', [
      `0\tdocument\t${document('a', 'x\ny')}\t\\N\t\\N`,
      `0\tdocument\t${document('b', 'x')}\t[{"stage":0,"keptId":"a","clusterSize":2}]\t\\N`,
      `0\tdrop\t{"id":null}\t\\N\t\\N`,
      `1\tdocument\t${document('c', 'x\nz')}\t[{"stage":2,"lines":[0]}]\t\\N`,
    ])
    expect(rows.map(([part, kind, place]) => `${part} ${kind} ${place}`)).toEqual([
      '0 part 0',
      '0 dropped 1',
      '0 dropped 2',
      '0 summary 3',
      '1 part 4',
      '1 summary 5',
    ])
    expect(JSON.parse(rows[1]![3]!)).toMatchObject({ id: 'b', reason: 'exact-duplicate', detail: 'kept a, one of 2' })
    expect(JSON.parse(rows[4]![3]!)).toMatchObject({ id: 'c', text: 'z' })
    expect(JSON.parse(rows[3]![3]!)).toMatchObject({ droppedLines: 2, statistics: { documents: 1 } })
  })

  it.each([
    ['documents', 'no JSON', /rows on stdin:1/],
    ['documents', '{"piece":0}', /Expected a task with `piece` and `inputs`/],
    ['documents', '0\t0\tx\t{}', /Expected an integer in field 3, got `x`/],
    ['documents', '0\t0\t1\t{"id":1}', /Expected a document/],
    ['clusters', '1', /Expected a value in field 2/],
    ['parts', '0\t0\t\\N\t5', /Expected a value in field 3/],
    ['write', '0\tdocument\t\\N\t\\N\t\\N', /Expected a value in field 3/],
    ['overlaps', '0\t0\t{}\t\\N', /needs the index of the test sets/],
  ] as const)('%s: a malformed row ends the stage, named (%s)', async (stage, row, message) => {
    await expect(serve(stage, [row])).rejects.toThrow(message)
  })

  it('needs the folder of a build', async () => {
    const none = { stage: 'parts' as const, build: folder, input: Readable.from([]), output: new Writable() }
    await expect(serveRows(none)).rejects.toThrow(/got no build.json/)
  })
})

describe('the files that nodes get', () => {
  it('has copies of the files that options name', async () => {
    const { settings: shipped } = await readBuildFiles(join(folder, 'build'))
    const { domainsFile: path } = shipped.filters[1]!.options as { domainsFile: string }
    expect(path).toContain(join(folder, 'build', 'options'))
    expect(readFileSync(path, 'utf8')).toBe('bad.example\n')
  })

  it('is a worker in one file that runs without the package, and says what is wrong with a row', async () => {
    const place = join(folder, 'worker')
    const { command, archive } = await shipWorker(place, { settings }, true)
    expect(archive).toBeUndefined()
    const run = (rows: string) =>
      spawnSync('sh', ['-c', `${command} documents`], { cwd: '/', input: rows, encoding: 'utf8' })
    const good = run(`${task(0, 'a.jsonl')}\n`)
    expect(good.stderr).toBe('')
    expect(good.stdout.split('\n').filter((line) => line.startsWith('document\t'))).toHaveLength(1)
    const bad = run('{"piece":0}\n')
    expect(bad.status).toBe(1)
    expect(bad.stderr).toMatch(/^rows on stdin:1: Expected a task/)
  })

  it('is an archive with Node for nodes elsewhere', async () => {
    const { command, archive } = await shipWorker(join(folder, 'remote'), { settings }, false)
    expect(archive).toBe(`${join(folder, 'remote')}.tar.gz#tunesmith-build`)
    mkdirSync(join(folder, 'node-1/tunesmith-build'), { recursive: true })
    const unpacked = join(folder, 'node-1/tunesmith-build')
    expect(spawnSync('tar', ['-xzf', archive!.split('#')[0]!, '-C', unpacked]).status).toBe(0)
    const { stdout } = spawnSync('sh', ['-c', `${command} clusters`], {
      cwd: join(unpacked, '..'),
      input: '1\t0\n',
      encoding: 'utf8',
    })
    expect(stdout).toBe('0\t0\n1\t0\n')
  })
})

describe('the script', () => {
  const options = (change: Partial<ScriptOptions> = {}): ScriptOptions => ({
    worker: './node ./worker.mjs',
    places: { reads: 'file:///r', groups: 'file:///g', tables: 'file:///t', lines: "file:///it's" },
    tasks: { reads: 1, groups: 30_000 },
    dedup: settings.dedup.map((stage, index) => {
      const { keyColumns: columns, plan } = openDeduplicator(stage)
      return { stage: stage.stage, unit: index === 2 ? 'line' : 'document', columns, plan }
    }),
    maxDocuments: 10,
    finished: new Set(),
    ...change,
  })

  it('runs the queries of the embedded engine for each deduplicator, excluding earlier drops', () => {
    const { sql, phases } = sparkScript(options())
    for (const stage of settings.dedup) {
      const { plan } = openDeduplicator(stage)
      for (const step of plan.tables) if (typeof step === 'string') expect(sql).toContain(step)
      expect(sql).toContain(`CREATE TABLE drops AS ${plan.drops}`)
    }
    expect(sql).toMatch(/USE stage2;[\s\S]*stage0\.drops\s+UNION\s+SELECT shard, row FROM stage1\.drops/)
    expect(sql.match(/INSERT INTO edges/g)).toHaveLength(14)
    expect(sql).toContain("USING './node ./worker.mjs clusters' AS (member INT, root INT) ROW FORMAT")
    expect(phases).toBe(sql.match(/SELECT 'phase'/g)!.length)
  })

  it('broadcasts the common n-grams, and leaves them out without test sets', () => {
    expect(sparkScript(options()).sql).toMatch(/HAVING count\(\*\) > 10[\s\S]*BROADCAST\(common\)/)
    const { sql } = sparkScript(options({ maxDocuments: undefined }))
    expect(sql).not.toContain('overlaps')
    expect(sql).toContain('CREATE TABLE matches (')
  })

  it('quotes paths, limits the number of tasks, and reads finished tables instead of making them', () => {
    const { sql } = sparkScript(options({ finished: new Set(['read']) }))
    expect(sql).toContain(String.raw`LOCATION 'file:///it\'s'`)
    expect(quoteSql(String.raw`a\b'c`)).toBe(String.raw`'a\\b\'c'`)
    expect(sql).toContain('REPARTITION(10000)')
    expect(sql).toContain("CREATE TABLE read USING parquet LOCATION 'file:///t/read';")
    expect(sql).toMatch(/LOCATION 'file:\/\/\/t\/documents' AS\nSELECT TRANSFORM\(value\) ROW FORMAT/)
  })

  it('works without deduplication and without large files', () => {
    const { sql } = sparkScript(options({ dedup: [], tasks: { reads: 0, groups: 1 } }))
    expect(sql).toContain('CREATE TABLE decisions (')
    expect(sql).not.toContain('TRANSFORM(piece, segment, row, line)')
  })
})

describe('spark-submit', () => {
  it('is found in SPARK_HOME or on the PATH, or named in one line', () => {
    const bin = join(folder, 'spark/bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'spark-submit'), '#!/bin/sh\n')
    expect(findSparkSubmit({ SPARK_HOME: join(folder, 'spark') })).toBe(join(bin, 'spark-submit'))
    expect(findSparkSubmit({ PATH: `/nowhere:${bin}` })).toBe(join(bin, 'spark-submit'))
    expect(() => findSparkSubmit({ SPARK_HOME: '/nowhere' })).toThrow(/Expected an installation of Spark in SPARK_HOME/)
  })

  it('is that of a Python environment that is not activated, with its own installation', async () => {
    const home = join(folder, 'environment')
    const spark = join(home, 'lib/python3.13/site-packages/pyspark')
    for (const one of [home, spark]) mkdirSync(join(one, 'bin'), { recursive: true })
    mkdirSync(join(spark, 'jars'))
    // That of pip's script asks for the Python on the PATH.
    writeFileSync(join(home, 'bin/spark-submit'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    writeFileSync(join(spark, 'bin/spark-submit'), '#!/bin/sh\necho "$SPARK_HOME"\n', { mode: 0o755 })
    const submit = join(spark, 'bin/spark-submit')
    expect(findSparkSubmit({ SPARK_HOME: home })).toBe(submit)
    expect(findSparkSubmit({ PATH: join(home, 'bin') })).toBe(submit)
    const lines: string[] = []
    await runSpark({ submit, conf: {}, script: 's', onLine: (line) => lines.push(line) })
    expect(lines).toEqual([spark])
  })

  it('gets the master, the settings, the archive and the class of spark-sql', () => {
    expect(
      submitArguments({ master: 'yarn', conf: { 'spark.a': 'b=c' }, archive: 'w.tgz#w', script: 's.sql' }).join(' '),
    ).toBe(
      '--master yarn --conf spark.a=b=c --archives w.tgz#w --class org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver spark-internal -S -f s.sql',
    )
    expect(() => parseSparkConf(['executor.memory=1g'])).toThrow(ConfigError)
    expect(() => parseSparkConf(['spark.executor.memory'])).toThrow(/sparkConf\[0\]/)
  })

  it('gives all lines of a script that ends, and the reason of one that fails', async () => {
    const program = join(folder, 'fake-submit')
    writeFileSync(
      program,
      '#!/bin/sh\nseq 1 5000\nif [ "$2" = bad ]; then echo "Error: no such master" >&2; exit 3; fi\n',
      { mode: 0o755 },
    )
    const lines: string[] = []
    const run = { submit: program, conf: {}, script: 's', onLine: (line: string) => lines.push(line) }
    await runSpark({ ...run, master: 'local' })
    expect(lines).toHaveLength(5000)
    await expect(runSpark({ ...run, master: 'bad' })).rejects.toThrow(
      'Spark ended with exit code 3: Error: no such master',
    )
    await expect(runSpark({ ...run, submit: '/nowhere/spark-submit' })).rejects.toThrow(SetupError)
    await expect(runSpark({ ...run, signal: AbortSignal.abort() })).rejects.toThrow(/abort/)
  })

  it('tells the fault of a worker from the stack of Java', () => {
    const stack = [
      'WARN Utils: host',
      'org.apache.spark.SparkException: Subprocess exited with status 1. Error: a.jsonl: gone.',
      '\tat org.apache',
    ]
    expect(reasonOf(stack)).toBe('a worker failed: a.jsonl: gone.')
    expect(reasonOf(['x', 'org.apache.spark.SparkException: Subprocess exited with status 137. Error: ', '.'])).toBe(
      'a worker ended with exit code 137.',
    )
    expect(reasonOf(['JAVA_HOME is not set'])).toBe('JAVA_HOME is not set')
    expect(reasonOf([])).toBe('no output.')
    const log = (level: string, text: string) => `26/11/30 13:00:14 ${level} DFSClient: ${text}`
    const again = [
      log('WARN', 'Failed to connect, will wait'),
      'java.net.ConnectException: Connection refused',
      '\tat a',
    ]
    const gone = [
      log('ERROR', 'Exception in task 1.0'),
      'org.apache.spark.SparkException: Encountered error while reading file hdfs://h/a.gz.',
      '\tat b',
      'Caused by: java.io.IOException: broken',
      'Caused by: org.apache.hadoop.hdfs.BlockMissingException: Could not obtain block: file=/a.gz',
    ]
    expect(reasonOf([...again, ...gone, ...again])).toBe(
      'org.apache.spark.SparkException: Encountered error while reading file hdfs://h/a.gz. Cause: BlockMissingException: Could not obtain block: file=/a.gz',
    )
    expect(reasonOf(again)).toBe('java.net.ConnectException: Connection refused')
    const noClass = 'java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found'
    expect(reasonOf([noClass])).toMatch(/no connector for addresses of s3a: add `--spark-conf spark\.jars\.packages=/)
    expect(reasonOf(['ls: No FileSystem for scheme "gs"'])).toMatch(/of gs: add .*gcs-connector/)
    expect(reasonOf(['ls: No FileSystem for scheme "own"'])).toMatch(/of own: put the jar of its connector into/)
  })
})

describe('corpus build', () => {
  const source = () => [`jsonl:${folder}/a.jsonl`]
  it.each([
    [{ workers: 2, engine: 'spark' }, /`workers` has no effect with the engine spark/],
    [{ memoryMegabytes: 512, engine: 'spark' }, /`memoryMegabytes` has no effect/],
    [{ master: 'yarn' }, /`master` has no effect with the engine duckdb/],
    [{ sparkConf: ['spark.a=b'] }, /`sparkConf` has no effect with the engine duckdb/],
  ] as const)('refuses options without effect: %o', async (change, message) => {
    const out = join(folder, 'refused')
    await expect(buildCorpus({ out, source: source(), ...change } as never)).rejects.toThrow(message)
    expect(existsSync(out)).toBe(false)
  })

  it.each([
    [{ out: 's3a://bucket/corpus' }, /`out` needs the engine spark for s3a:\/\/bucket\/corpus: set `engine` to spark/],
    [
      { source: ['jsonl:hdfs://head:8020/lines'] },
      /`source\[0\]` needs the engine spark for hdfs:\/\/head:8020\/lines/,
    ],
  ])('refuses addresses without Spark, and leaves no folder with their name: %o', async (change, message) => {
    const options = { out: join(folder, 'addressed'), source: source(), ...change }
    await expect(buildCorpus(options)).rejects.toThrow(message)
    expect(existsSync('s3a:')).toBe(false)
  })
})
