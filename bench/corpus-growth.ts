// How the cost of a corpus build grows with its input: time, processor time and peak memory for 10, 50 and 200 MB of text
// made of the paragraphs of real books in another order. `--sizes 10,1000` for other sizes, `--keep` to look at the result.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writePerturbedBooks } from './corpus/perturbed-books.ts'
import type { BenchOptions } from './main.ts'
import { printTable, runOurs } from './side-by-side.ts'

interface BuildRun {
  seconds: number
  cpuSeconds: number
  peakMb: number
  documents: number
  textMb: number
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
      await writePerturbedBooks(input, megabytes)
      const out = join(folder, `corpus-${megabytes}`)
      const { documents, seconds, cpuSeconds, peakMb } = await runOurs<BuildRun>('bench/corpus/measure-build.ts', [
        out,
        `jsonl:${input}`,
      ])
      const rate = megabytes / cpuSeconds
      rows.push([megabytes, documents, seconds.toFixed(1), cpuSeconds.toFixed(1), rate.toFixed(2), peakMb.toFixed(0)])
      // The largest sizes take most of an hour: what is measured is on the screen should the rest be stopped.
      printTable([rows[0], rows.at(-1)!])
      rmSync(input, { recursive: true })
      if (!values.keep) rmSync(out, { recursive: true })
    }
    console.log('\nCost of `corpus build` with the default filters, exact and near deduplication')
    printTable(rows)
  } finally {
    if (values.keep) console.log(folder)
    else rmSync(folder, { recursive: true, force: true })
  }
}
