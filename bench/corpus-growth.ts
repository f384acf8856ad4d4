// How the cost of a corpus build grows with its input: time, processor time and peak memory for 10, 50 and 200 MB of text
// made of the paragraphs of real books in another order. `--sizes 10,1000` for other sizes, `--keep` to look at the result.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createRandom } from '../src/core/index.ts'
import { bookLines } from './book-lines.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, printTable, runOurs } from './side-by-side.ts'

interface BuildRun {
  seconds: number
  cpuSeconds: number
  peakMb: number
  documents: number
  textMb: number
}

/** Writes about `megabytes` of documents of 2 to 20 kB, one in twenty a copy of an earlier one with a word changed. */
async function writeInputs(folder: string, megabytes: number): Promise<void> {
  const paragraphs: string[] = []
  for await (const line of bookLines(dataFolder())) if (line.length > 80) paragraphs.push(line)
  const random = createRandom(megabytes)
  mkdirSync(folder, { recursive: true })
  const fileBytes = 8e6
  let written = 0
  let earlier = ''
  for (let file = 0; written < megabytes * 1e6; file++) {
    const lines: string[] = []
    for (let size = 0; size < fileBytes && written < megabytes * 1e6; ) {
      const wanted = 2000 + random.integer(18_000)
      const chosen: string[] = []
      for (let length = 0; length < wanted; length += chosen.at(-1)!.length) {
        chosen.push(paragraphs[random.integer(paragraphs.length)])
      }
      const copy = earlier !== '' && random.integer(20) === 0
      const text = copy ? earlier.replace(' the ', ' one ') : chosen.join('\n\n')
      if (!copy) earlier = text
      lines.push(JSON.stringify({ text }))
      size += text.length
      written += text.length
    }
    writeFileSync(join(folder, `input-${String(file).padStart(4, '0')}.jsonl`), `${lines.join('\n')}\n`)
  }
}

export async function run({ smoke, rest = [] }: Partial<BenchOptions> = {}): Promise<void> {
  const { values } = parseArgs({
    args: rest,
    options: {
      sizes: { type: 'string', default: smoke ? '1,2' : '10,50,200' },
      keep: { type: 'boolean', default: false },
    },
  })
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-growth-'))
  const rows: (string | number)[][] = [['input MB', 'documents out', 'seconds', 'CPU s', 'MB/CPU s', 'peak RSS MB']]
  try {
    for (const megabytes of values.sizes.split(',').map(Number)) {
      const input = join(folder, `input-${megabytes}`)
      await writeInputs(input, megabytes)
      const out = join(folder, `corpus-${megabytes}`)
      const { documents, seconds, cpuSeconds, peakMb } = await runOurs<BuildRun>('bench/corpus/measure-build.ts', [
        out,
        `jsonl:${input}`,
      ])
      const rate = megabytes / cpuSeconds
      rows.push([megabytes, documents, seconds.toFixed(1), cpuSeconds.toFixed(1), rate.toFixed(2), peakMb.toFixed(0)])
      rmSync(input, { recursive: true })
    }
    console.log('\nCost of `corpus build` with the default filters, exact and near deduplication')
    printTable(rows)
  } finally {
    if (values.keep) console.log(folder)
    else rmSync(folder, { recursive: true, force: true })
  }
}
