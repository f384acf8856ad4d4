// Tokenizer training against the Rust tokenizers on the shared books: BPE 8k and 32k, WordPiece 30k, Unigram 8k; the same
// lines on the same number of threads, MB/s of text from lines in memory to a vocabulary. Without the Python package, the
// npm package trains BPE 30k, the only thing that it can.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type TokenizerTrainInput, trainTokenizer } from '../src/tokenizers/index.ts'
import { bookLines, bundledData } from './book-lines.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, median, peersFolder, peersPython, printTable, runJson } from './side-by-side.ts'

interface Peer {
  train_s: number
}

/** The first megabytes of the lines of books, with their line ends. */
async function readLines(data: string, megabytes: number): Promise<string[]> {
  const lines: string[] = []
  let size = 0
  for await (const line of bookLines(data)) {
    size += Buffer.byteLength(line) + 1
    if (size > megabytes * 1e6) break
    lines.push(`${line}\n`)
  }
  return lines
}

/** Does something with a folder of data whose only book has the given lines, as tokenizers_bench.py reads them. */
async function withBook<Result>(lines: string[], work: (data: string) => Promise<Result>): Promise<Result> {
  const data = mkdtempSync(join(tmpdir(), 'tunesmith-bench-'))
  try {
    mkdirSync(join(data, 'books'))
    writeFileSync(join(data, 'books', 'lines.md.gz'), gzipSync(`-------\n${lines.join('')}`, { level: 1 }))
    return await work(data)
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

// As the peer's script asks: no least frequency, its special tokens, no Unicode normalization.
const jobs: { kind: string; vocab: number; input: TokenizerTrainInput }[] = [
  { kind: 'bpe', vocab: 8000, input: { type: 'bpe', minFrequency: 1 } },
  { kind: 'bpe', vocab: 32_000, input: { type: 'bpe', minFrequency: 1 } },
  { kind: 'wordpiece', vocab: 30_000, input: { type: 'wordpiece', minFrequency: 1 } },
  { kind: 'unigram', vocab: 8000, input: { type: 'unigram', normalizer: 'none' } },
]

async function trainOurs(lines: string[], input: TokenizerTrainInput, rounds: number) {
  const seconds: number[] = []
  const cpuSeconds: number[] = []
  // One round more than counted, since the first also compiles our code.
  for (let round = 0; round <= rounds; round++) {
    const cpu = process.cpuUsage()
    const started = performance.now()
    await trainTokenizer(lines, { ...input, validation: 0 })
    if (round === 0 && rounds > 1) continue
    seconds.push((performance.now() - started) / 1000)
    const { user, system } = process.cpuUsage(cpu)
    cpuSeconds.push((user + system) / 1e6)
  }
  return { seconds: median(seconds), cpuSeconds: median(cpuSeconds) }
}

/** The median seconds of the Rust trainer on the books of a folder. */
async function trainRust(
  python: string,
  data: string,
  { kind, vocabSize, threads, rounds }: { kind: string; vocabSize: number; threads: number; rounds: number },
): Promise<number> {
  const options = { data, kind, vocab: vocabSize, threads, repeats: rounds }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const { train_s } = await runJson<Peer>(python, [join(peersFolder(), 'tokenizers_bench.py'), ...args])
  return train_s
}

/** The npm package's trainer, which knows one size and no options. */
async function trainNpm(lines: string[]): Promise<number> {
  const { BPE, Tokenizer, byteLevelPreTokenizer } = await import('tokenizers')
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-bench-'))
  try {
    const file = join(folder, 'text.txt')
    writeFileSync(file, lines.join(''))
    const tokenizer = new Tokenizer(BPE.empty())
    tokenizer.setPreTokenizer(byteLevelPreTokenizer(false))
    const started = performance.now()
    tokenizer.train([file])
    return (performance.now() - started) / 1000
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function run({ smoke, rest }: BenchOptions): Promise<void> {
  const asked = rest.indexOf('--mb')
  const megabytes = smoke ? 1 : asked < 0 ? 46 : Number(rest[asked + 1])
  const rounds = smoke ? 1 : 3
  const lines = await readLines(smoke ? bundledData() : dataFolder(), megabytes)
  const size = lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0) / 1e6
  const python = peersPython()
  const threads = availableParallelism()
  const rows: (string | number)[][] = [['', 's', 'MB/s', 'CPU-s', 'Rust s', 'Rust MB/s', 'times Rust']]
  const row = (name: string, ours: { seconds: number; cpuSeconds: number }, rust: number | undefined) =>
    rows.push([
      name,
      ours.seconds.toFixed(2),
      (size / ours.seconds).toFixed(1),
      ours.cpuSeconds.toFixed(2),
      rust?.toFixed(2) ?? '-',
      rust === undefined ? '-' : (size / rust).toFixed(1),
      rust === undefined ? '-' : (rust / ours.seconds).toFixed(2),
    ])
  for (const { kind, vocab, input } of jobs) {
    const vocabSize = smoke ? 1000 : vocab
    const ours = await trainOurs(lines, { ...input, vocabSize }, rounds)
    const options = { kind, vocabSize, threads, rounds }
    const rust = python === undefined ? undefined : await withBook(lines, (data) => trainRust(python, data, options))
    row(`${kind} ${vocabSize}`, ours, rust)
  }
  if (python === undefined) {
    const ours = await trainOurs(lines, { type: 'bpe', minFrequency: 1, vocabSize: 30_000 }, rounds)
    row('bpe 30000 (npm)', ours, await trainNpm(lines))
  }
  console.log(`\nTokenizer training, ${size.toFixed(1)} MB of books in ${lines.length} lines, ${threads} threads`)
  printTable(rows)
  if (python === undefined) console.log('No Python peers: set TUNESMITH_PEERS_PYTHON or run bench/peers/setup.mjs.')
}
