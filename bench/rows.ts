// Fine-tuning on many generated rows: start, second start, memory, waiting times of the main thread, and milliseconds a step through the
// cache of encoded examples beside a run in memory, in turn. `npm run bench -- rows --rows 5000000`
// Options: --rows N (all parts but speed) --words N (at most, in a row) --speed-rows N --steps N --rounds N (0 leaves out speed)
//          --validation-rows N (default: 500)  --folder F (for the data and the cache) --compiled (the package in dist, whose threads start as users' do)
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createRandom } from '../src/core/index.ts'
import { encodeShards } from '../src/data/index.ts'
import { pretrain } from '../src/runs/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../src/tokenizers/index.ts'
import type { BenchOptions } from './main.ts'
import type { RowsRun } from './rows/run.ts'
import { median, printTable, runOurs } from './side-by-side.ts'

const vocabulary = Array.from({ length: 400 }, (_, i) => `${'bcdfgklmnprst'[i % 13]}${'aeiou'[i % 5]}${i.toString(36)}`)

/** Rows of 5 words or more; the label is a function of the words. */
const writeRows = async (path: string, count: number, most: number, seed: string): Promise<void> => {
  const random = createRandom(seed)
  const file = createWriteStream(path)
  for (let i = 0, part = ''; i < count; i++) {
    const picked = Array.from({ length: 5 + random.integer(most - 4) }, () => random.integer(vocabulary.length))
    const label = picked.filter((word) => word % 2 === 0).length * 2 > picked.length ? 'even' : 'odd'
    part += `${JSON.stringify({ text: picked.map((word) => vocabulary[word]).join(' '), label })}\n`
    if (part.length < 1 << 20 && i < count - 1) continue
    if (!file.write(part)) await once(file, 'drain')
    part = ''
  }
  file.end()
  await finished(file)
}

const makeBase = async (root: string): Promise<string> => {
  const random = createRandom('base')
  const texts = Array.from({ length: 400 }, () =>
    Array.from({ length: 60 }, () => vocabulary[random.integer(vocabulary.length)]).join(' '),
  )
  const [tokenizer, shards, base] = ['tokenizer', 'shards', 'base'].map((name) => join(root, name))
  const { files } = await trainTokenizer(texts, { type: 'wordpiece', vocabSize: 1000 }, { workers: 1 })
  await writeTokenizerFolder(tokenizer, files)
  await encodeShards(texts, tokenizer, shards, { validation: 0.1 }, { workers: 1 })
  await pretrain({
    model: { type: 'bert', preset: 'test' },
    objective: { type: 'masked-lm' },
    data: shards,
    tokenizer,
    out: base,
    maxLength: 64,
    batch: { sequences: 8 },
    budget: { steps: 2 },
  })
  return base
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      rows: { type: 'string', default: smoke ? '3000' : '5000000' },
      words: { type: 'string', default: '40' },
      'validation-rows': { type: 'string', default: '500' },
      'speed-rows': { type: 'string', default: smoke ? '2000' : '200000' },
      steps: { type: 'string', default: smoke ? '4' : '300' },
      rounds: { type: 'string', default: smoke ? '1' : '3' },
      folder: { type: 'string' },
      compiled: { type: 'boolean', default: false },
    },
  })
  const [rows, validationRows, speedRows, steps, rounds, words] = [
    values.rows,
    values['validation-rows'],
    values['speed-rows'],
    values.steps,
    values.rounds,
    values.words,
  ].map(Number)
  const root = await mkdtemp(join(values.folder ?? tmpdir(), 'tunesmith-rows-'))
  try {
    const base = await makeBase(root)
    const [data, few, validation] = ['rows', 'few', 'validation'].map((name) => join(root, `${name}.jsonl`))
    await writeRows(data, rows, words, 'rows')
    await writeRows(few, speedRows, words, 'few')
    await writeRows(validation, validationRows, words, 'validation')
    await mkdir(join(root, 'runs'))
    let number = 0
    const measured = (path: string, exampleCache: 'on' | 'off') =>
      runOurs<RowsRun>(
        'bench/rows/run.ts',
        [
          JSON.stringify({
            base,
            task: 'sequence-classification',
            data: path,
            validation,
            out: join(root, 'runs', String(++number)),
            maxLength: 64,
            batch: { sequences: 16 },
            budget: { steps },
            evaluate: { steps },
            untrainedBaseline: false,
            exampleCache,
          }),
          values.compiled ? '../../dist/index.js' : '../../src/index.ts',
        ],
        { XDG_CACHE_HOME: join(root, 'cache'), OMP_NUM_THREADS: '1' },
      )
    const table = (name: string, one: RowsRun) => [
      name,
      one.startSeconds.toFixed(1),
      one.startCpuSeconds.toFixed(1),
      one.delayP99.toFixed(1),
      one.startDelayP99.toFixed(1),
      one.endSeconds.toFixed(1),
      one.endDelayP99.toFixed(1),
      one.longestEndDelay.toFixed(0),
      one.rssAtStart.toFixed(0),
      one.rssAtEnd.toFixed(0),
      one.peakRss.toFixed(0),
    ]
    const heading = [
      'run',
      'start s',
      'start CPU s',
      'p99 ms',
      'p99 ms, start',
      'evaluation s',
      'p99 ms, evaluation',
      'longest ms, evaluation',
      'RSS MB, step 1',
      'RSS MB, end',
      'peak MB',
    ]
    const size = ((await stat(data)).size / 2 ** 20).toFixed(0)
    console.log(
      `${rows} rows of 5 to ${words} words, ${size} MB, ${validationRows} for validation; 16 rows a step, ${steps} steps, one compute thread`,
    )
    printTable([heading, table('first', await measured(data, 'on')), table('second', await measured(data, 'on'))])
    if (rounds === 0) return
    const times: { on: number[]; off: number[] } = { on: [], off: [] }
    for (let round = 0; round < rounds; round++)
      for (const exampleCache of ['off', 'on'] as const)
        times[exampleCache].push((await measured(few, exampleCache)).stepMs)
    console.log(`\n${speedRows} rows, median milliseconds a step by round`)
    printTable([
      ['in memory', 'cached', 'cached / in memory'],
      ...times.off.map((off, i) => [off.toFixed(2), times.on[i].toFixed(2), (times.on[i] / off).toFixed(3)]),
      ['', 'median', median(times.on.map((on, i) => on / times.off[i])).toFixed(3)],
    ])
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
