// Addresses of inputs without Spark: what Hadoop's shell lists, and the files that an address names.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { HadoopFolder } from './hadoop-folder.ts'
import { filesAt } from './hadoop-inputs.ts'
import { HadoopShell, parseListing, splitAddress } from './hadoop-shell.ts'
import { inputViews } from './script.ts'

const root = 'hdfs://head:8020/crawl'
const listing = parseListing([
  'Found 9 items',
  `drwxr-xr-x   - owner group          0 2026-11-29 18:58 ${root}/a`,
  `-rw-r--r--   3 owner group       7000 2026-11-29 18:58 ${root}/a/b c.warc.gz`,
  `-rw-rw-rw-   1 owner group         12 2026-11-29 18:58 ${root}/a/notes.txt`,
  `-rw-rw-rw-   1                     13 2026-11-29 18:58 ${root}/z.warc`,
  `-rw-rw-rw-   1 owner group         14 2026-11-29 18:58 ${root}/.hidden.warc`,
  `-rw-rw-rw-   1 owner group         15 2026-11-29 18:58 hdfs://head:8020/crawled.warc`,
])
const found = (address: string) => filesAt(address, ['.warc'], listing).map(({ path, bytes }) => `${path} ${bytes}`)

describe('filesAt', () => {
  it('finds the files of a folder by their endings, in the order of their names', () => {
    expect(found(root)).toEqual([`${root}/a/b c.warc.gz 7000`, `${root}/z.warc 13`])
    expect(found(`${root}/`)).toEqual(found(root))
  })

  it('finds a file, whatever its ending, and what a pattern matches', () => {
    expect(found(`${root}/a/notes.txt`)).toEqual([`${root}/a/notes.txt 12`])
    expect(found(`${root}/*.warc`)).toEqual([`${root}/z.warc 13`])
    expect(found(`${root}/**/*.{gz,txt}`)).toEqual([`${root}/a/b c.warc.gz 7000`, `${root}/a/notes.txt 12`])
  })

  it('names what is not there', () => {
    expect(() => found(`${root}/none`)).toThrow(/got an address where nothing is/)
    expect(() => found(`${root}/*.json`)).toThrow(/The pattern matches no files/)
    expect(() => filesAt(root, ['.json'], listing)).toThrow(/Expected files ending in .json/)
  })
})

it('splitAddress divides an address before its path', () => {
  expect(splitAddress('s3a://bucket/a/b')).toEqual({ prefix: 's3a://bucket', path: '/a/b' })
  expect(splitAddress('file:/a:b')).toEqual({ prefix: 'file:', path: '/a:b' })
  expect(splitAddress('/a:b')).toEqual({ prefix: '', path: '/a:b' })
})

it('inputViews reads each place once, and takes signs in names for themselves', () => {
  const { views, statements } = inputViews(['s3a://b/x', 'hdfs://h/c/a,b', 's3a://b/y[1]', 'hdfs://h/c/*?\\'])
  expect(views.map(({ prefix }) => prefix)).toEqual(['s3a://b', 'hdfs://h'])
  // Files of a root are one name, which is a glob; braces around a slash are expanded first, and lose a backslash.
  expect(statements[0]).toContain(String.raw`'s3a://b/{x,y\\[1\\]}'`)
  expect(statements[1]).toContain(String.raw`'hdfs://h/{c/a\\\\\\,b,c/\\\\\\*\\\\\\?\\\\\\\\}'`)
  expect(inputViews(['s3a://b/c/y{1}']).statements[0]).toContain(String.raw`'s3a://b/c/y\\{1\\}'`)
})

it('the shell of Hadoop finds the files of settings that it insists on, behind those of the user', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-hadoop-'))
  const submit = join(folder, 'spark-submit')
  // Lists the last folder of the class path as the shell lists files.
  writeFileSync(
    submit,
    [
      '#!/bin/sh',
      'IFS=:; set -- $SPARK_DIST_CLASSPATH; first=$1; for last; do :; done',
      'for f in "$last"/*; do echo "-rw-r--r-- 1 o g 5 2026-11-29 18:58 $(basename "$f")"; done',
      'echo "drwxr-xr-x - o g 0 2026-11-29 18:58 $first"',
    ].join('\n'),
    { mode: 0o755 },
  )
  const { SPARK_DIST_CLASSPATH: before } = process.env
  try {
    process.env.SPARK_DIST_CLASSPATH = '/etc/hadoop/conf:/opt/hadoop/*'
    const shell = new HadoopShell({ submit, conf: { 'spark.hadoop.fs.s3a.endpoint': 'http://s3' }, folder })
    expect((await shell.list(['s3a://b'])).map(({ path }) => path)).toEqual([
      ...['core-site.xml', 'hdfs-default.xml', 'hdfs-rbf-default.xml', 'hdfs-rbf-site.xml', 'hdfs-site.xml'],
      ...['mapred-site.xml', 'yarn-site.xml', '/etc/hadoop/conf'],
    ])
    expect(readFileSync(join(folder, 'hadoop/core-site.xml'), 'utf8')).toContain('<value>http://s3</value>')
  } finally {
    if (before === undefined) delete process.env.SPARK_DIST_CLASSPATH
    else process.env.SPARK_DIST_CLASSPATH = before
    rmSync(folder, { recursive: true, force: true })
  }
})

it.each([
  ['hdfs://h/a//b', 'hdfs://h/a/b'],
  ['hdfs://h/a/b/', 'hdfs://h/a/b'],
  ['s3a://bucket', 's3a://bucket'],
])('a corpus at %s has the files that Hadoop lists at %s', async (address, listed) => {
  const cache = mkdtempSync(join(tmpdir(), 'tunesmith-hadoop-'))
  vi.stubEnv('XDG_CACHE_HOME', cache)
  try {
    const listing = parseListing([`-rw-r--r-- 1 o g 5 2026-11-29 18:58 ${listed}/corpus.json`])
    const folder = new HadoopFolder(address, { list: async () => listing } as Partial<HadoopShell> as HadoopShell)
    const unlock = await folder.open()
    expect(folder.has('corpus.json')).toBe(true)
    await unlock()
  } finally {
    vi.unstubAllEnvs()
    rmSync(cache, { recursive: true, force: true })
  }
})
