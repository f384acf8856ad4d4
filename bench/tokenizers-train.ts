// Tokenizer training against the Rust tokenizers on the shared books: BPE 8k and 32k, WordPiece 30k, Unigram 8k; the same
// lines on the same number of threads, MB/s of text from lines in memory to a vocabulary. Without the Python package, the
// npm package trains BPE 30k, the only thing that it can.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type TokenizerTrainInput, trainTokenizer } from '../src/tokenizers/index.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, median, peersFolder, peersPython, printTable, runJson } from './side-by-side.ts'

interface Peer {
  mb: number
  train_s: number
  train_mb_per_s: number
  bytes_per_token: number
}

/** The lines that tokenizers_bench.py trains on: the books in the order of their names, without headers or blank lines. */
function readLines(megabytes: number): string[] {
  const folder = join(dataFolder(), 'books')
  const texts: string[] = []
  let size = 0
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.md.gz') || size >= megabytes * 1e6) continue
    const book = gunzipSync(readFileSync(join(folder, file)))
      .toString('utf8')
      .replace(/\r\n?/g, '\n')
    const header = book.indexOf('-------')
    texts.push(header < 0 ? book : book.slice(header + 7))
    size += Buffer.byteLength(texts[texts.length - 1])
  }
  const text = Array.from(texts.join('\n'))
    .slice(0, megabytes * 1e6)
    .join('')
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [`${line}\n`]))
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
  const lines = readLines(megabytes)
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
    let rust: number | undefined
    if (python !== undefined) {
      const script = join(peersFolder(), 'tokenizers_bench.py')
      const args = [
        '--data',
        dataFolder(),
        '--kind',
        kind,
        '--vocab',
        vocabSize,
        '--mb',
        megabytes,
        '--threads',
        threads,
      ]
      const peer = await runJson<Peer>(python, [script, ...args.map(String), '--repeats', String(rounds)])
      rust = peer.train_s
    }
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
