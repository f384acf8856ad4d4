// MinHash near deduplication against datasketch, the same texts and the same work on one thread: MB/s of text.
// Ours three ways: signatures alone, with band tables in memory (what datasketch does), and with Parquet and DuckDB.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createDeduplicator, createMinhasher, deduplicators } from '../src/corpus/dedup/index.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, median, peersFolder, peersPython, printTable, runJson } from './side-by-side.ts'

interface Measured {
  /** Wall seconds of each round. */
  seconds: number[]
  cpuSeconds: number[]
  dropped: number
}

/** The texts of corpus.py: each copy after the first has one word changed. */
function readTexts(path: string, times: number): string[] {
  const lines = gunzipSync(readFileSync(path)).toString().split('\n')
  const texts = lines.filter((line) => line.trim() !== '').map((line): string => JSON.parse(line).text)
  return Array.from({ length: times }, (_, copy) =>
    copy === 0 ? texts : texts.map((text) => text.replace(' the ', ` the${copy} `)),
  ).flat()
}

async function measure(rounds: number, work: () => number | Promise<number>): Promise<Measured> {
  const result: Measured = { seconds: [], cpuSeconds: [], dropped: 0 }
  await work()
  for (let round = 0; round < rounds; round++) {
    const cpu = process.cpuUsage()
    const started = performance.now()
    result.dropped = await work()
    result.seconds.push((performance.now() - started) / 1000)
    const { user, system } = process.cpuUsage(cpu)
    result.cpuSeconds.push((user + system) / 1e6)
  }
  return result
}

function dropInMemory(texts: readonly string[]): number {
  const minhasher = createMinhasher()
  const tables = Array.from({ length: minhasher.options.bands }, () => new Set<bigint>())
  let dropped = 0
  for (const text of texts) {
    const signature = minhasher.signature(text)
    if (signature.some((key, band) => tables[band].has(key))) dropped++
    else for (const [band, key] of signature.entries()) tables[band].add(key)
  }
  return dropped
}

async function dropOnDisk(texts: readonly string[], folder: string): Promise<number> {
  const near = createDeduplicator(deduplicators.near, {}, 'near')
  const path = join(folder, 'keys.parquet')
  const writer = near.createWriter(path)
  for (const [row, text] of texts.entries()) writer.add(row, { id: String(row), text, metadata: {} })
  await writer.close()
  const { dropped } = await near.find({
    files: [path],
    output: join(folder, 'drops.parquet'),
    temporaryFolder: join(folder, 'work'),
    memoryMegabytes: 512,
    threads: 1,
  })
  return dropped
}

export async function run({ smoke }: BenchOptions): Promise<void> {
  const data = join(dataFolder(), 'c4-sample', 'c4_demo.jsonl.gz')
  const times = smoke ? 1 : 20
  const rounds = smoke ? 1 : 5
  const texts = readTexts(data, times)
  const megabytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) / 1e6
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-minhash-'))
  try {
    const minhasher = createMinhasher()
    const ours: [string, Measured][] = [
      [
        'signatures',
        await measure(rounds, () =>
          texts.reduce((sum, text) => sum + (minhasher.signature(text).length > 0 ? 0 : 1), 0),
        ),
      ],
      ['signatures, bands in memory', await measure(rounds, () => dropInMemory(texts))],
      ['signatures, Parquet, DuckDB', await measure(rounds, () => dropOnDisk(texts, folder))],
    ]
    const python = peersPython()
    const args = ['--job', 'minhash-datasketch', '--jsonl', data, '--times', String(times), '--repeats', String(rounds)]
    const peer =
      python === undefined
        ? undefined
        : await runJson<{ mb_per_s: number; dropped: number }>(python, [join(peersFolder(), 'corpus.py'), ...args])
    console.log(
      `\nMinHash, ${texts.length} documents, ${megabytes.toFixed(1)} MB, 14 bands of 8 rows, 5-grams, 1 thread`,
    )
    printTable([
      ['', 'MB/s', 'MB/CPU-s', 'dropped', 'datasketch x'],
      ...ours.map(([name, { seconds, cpuSeconds, dropped }], i) => {
        const speed = megabytes / median(seconds)
        return [
          name,
          speed.toFixed(1),
          (megabytes / median(cpuSeconds)).toFixed(1),
          i === 0 ? '-' : dropped,
          peer === undefined ? '-' : (speed / peer.mb_per_s).toFixed(1),
        ]
      }),
      ...(peer === undefined ? [] : [['datasketch', peer.mb_per_s.toFixed(1), '-', peer.dropped, '1']]),
    ])
    if (peer === undefined) console.log('No Python peers: set TUNESMITH_PEERS_PYTHON or run bench/peers/setup.mjs.')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
