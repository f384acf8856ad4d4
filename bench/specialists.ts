// A generalist and its specialists: SmolLM2-135M-Instruct, fine-tuned by LoRA for IMDb, PubMedQA, answers of MedQuAD and DialogSum, then every
// model on every task and on text of C4. One part at a time, so that a part runs again without the others: `npm run bench -- specialists
// --out FOLDER --parts data,imdb,pubmedqa,medquad,dialogsum,matrix`. Knows the rows and settings of the study; the rest is `finetune` and
// `compareMatrix`.
// Options: --out FOLDER --parts … --base FOLDER --train N --test N --steps N
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '../src/core/index.ts'
import { finetune } from '../src/index.ts'
import { compareMatrix, matrixTable, renderMatrixPage, renderMatrixPicture } from '../src/inference/index.ts'
import { findTask, type TaskRecord, taskConfig } from '../src/tasks/index.ts'
import { findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import { prepareSmoke } from './sft/prepare.ts'
import { chosenParts, dataFolder, peersPython, printTable } from './side-by-side.ts'

interface Sizes {
  train: number
  test: number
}
type Row = { [column: string]: string }
type Read = (task: string, dataset: string, ...path: string[]) => Promise<TaskRecord[]>

/** How a specialist gets its rows and what it is asked. */
interface Specialist {
  rows(read: Read, sizes: Sizes): Promise<{ train: Row[]; test: Row[] }>
  task: 'generative-qa' | 'summarization'
  settings: object
  maxLength: number
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

/** Rows in random order, as many as asked for: first those to train on, then those to score. */
const divided = <Item>(name: string, items: Item[], { train, test }: Sizes): { train: Item[]; test: Item[] } => {
  if (items.length < train + test) throw new Error(`Expected ${train + test} rows of ${name}, got ${items.length}.`)
  createRandom(`bench/specialists ${name}`).shuffle(items)
  return { train: items.slice(0, train), test: items.slice(train, train + test) }
}

const textOf = (record: TaskRecord, field: string): string => (record as unknown as Row)[field]

const specialists: Record<string, Specialist> = {
  imdb: {
    // Half of each class, from the data set's own folders for training and testing; reviews say at the end what they think.
    async rows(read, { train, test }) {
      const all = await read('sequence-classification', 'imdb', 'imdb', 'aclImdb-subset.tar.gz')
      const of = (part: string, label: string, count: number) => {
        const own = all.filter(({ file }) => file.includes(`/${part}/${label}/`))
        const sizes = { train: count, test: 0 }
        return divided(`imdb ${part} ${label}`, own, sizes).train.map((record) => ({
          question: words(textOf(record, 'text').replaceAll('<br />', ' ')).slice(-100).join(' '),
          answer: label === 'pos' ? 'positive' : 'negative',
        }))
      }
      const both = (part: string, count: number) => [
        ...of(part, 'pos', Math.ceil(count / 2)),
        ...of(part, 'neg', Math.floor(count / 2)),
      ]
      return { train: both('train', train), test: both('test', test) }
    },
    task: 'generative-qa',
    settings: {
      prompt: 'Review: {question}\n\nIs this review positive or negative? Answer with one word.',
      metrics: ['exactMatch'],
      maxNewTokens: 4,
    },
    maxLength: 256,
  },
  pubmedqa: {
    async rows(read, sizes) {
      const rows = (await read('sequence-classification', 'pubmedqa', 'pubmedqa', 'ori_pqal.cv.json.gz')).map(
        (record) => ({
          question: textOf(record, 'text'),
          context: textOf(record, 'pair'),
          answer: (record as unknown as { labels: string[] }).labels[0],
        }),
      )
      return divided('pubmedqa', rows, sizes)
    },
    task: 'generative-qa',
    settings: {
      context: 'context',
      prompt: '{context}\n\nQuestion: {question} Answer with one word: yes, no or maybe.',
      metrics: ['exactMatch'],
      maxNewTokens: 4,
    },
    maxLength: 384,
  },
  medquad: {
    // One question of each page, and no question or answer twice, so that parts share none; short answers, which can be written whole.
    async rows(read, sizes) {
      const pages = new Map<string, Row>()
      const seen = new Set<string>()
      const records = await read('generative-qa', 'medquad', 'medquad', 'MedQuAD-subset.tar.gz')
      createRandom('bench/specialists medquad pages').shuffle(records)
      for (const record of records) {
        const [answer] = (record as unknown as { references: string[] }).references
        const question = textOf(record, 'question')
        const length = words(answer).length
        if (pages.has(record.file) || seen.has(answer) || seen.has(question) || length < 10 || length > 100) continue
        seen.add(answer).add(question)
        pages.set(record.file, { question, answer: words(answer).join(' ') })
      }
      return divided('medquad', [...pages.values()], sizes)
    },
    task: 'generative-qa',
    settings: { metrics: ['rougeL', 'tokenF1'], maxNewTokens: 96 },
    maxLength: 256,
  },
  dialogsum: {
    async rows(read, sizes) {
      const rows = (await read('summarization', 'dialogsum', 'dialogsum', 'dialogsum.dev.jsonl')).map((record) => ({
        text: textOf(record, 'source'),
        summary: (record as unknown as { references: string[] }).references[0],
      }))
      return divided('dialogsum', rows, sizes)
    },
    task: 'summarization',
    settings: { prompt: 'Summarize this dialogue.\n\n{text}', maxNewTokens: 64 },
    maxLength: 384,
  },
}
const names = Object.keys(specialists)

const jsonLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const read: Read = async (type, dataset, ...path) => {
  const task = findTask(type)
  return (await task.read(join(dataFolder(), ...path), taskConfig(task, {}, dataset))).records
}

const prepare = async (folder: string, sizes: Sizes): Promise<void> => {
  mkdirSync(join(folder, 'data'), { recursive: true })
  for (const name of names) {
    const { train, test } = await specialists[name].rows(read, sizes)
    const seen = new Set(train.map((row) => row.question ?? row.text))
    const shared = test.filter((row) => seen.has(row.question ?? row.text)).length
    if (shared > 0) throw new Error(`Expected no test row of ${name} among the training rows, got ${shared}.`)
    writeFileSync(join(folder, 'data', `${name}-train.jsonl`), jsonLines(train))
    writeFileSync(join(folder, 'data', `${name}-test.jsonl`), jsonLines(test))
    const answers = new Map<string, number>()
    for (const { answer = '' } of test) answers.set(answer, (answers.get(answer) ?? 0) + 1)
    const counts =
      answers.size > 1 && answers.size < 4 ? [...answers].map(([text, count]) => `, ${count} ${text}`).join('') : ''
    console.log(`${name}: ${train.length} rows to train on, ${test.length} to score${counts}`)
  }
  const c4 = gunzipSync(readFileSync(join(dataFolder(), 'c4-sample', 'c4_demo.jsonl.gz')))
  writeFileSync(join(folder, 'data', 'c4.jsonl'), c4)
}

const train = async (folder: string, name: string, base: string, steps: number): Promise<void> => {
  const { task, settings, maxLength } = specialists[name]
  const file = (part: string) => join(folder, 'data', `${name}-${part}.jsonl`)
  const from = process.cpuUsage()
  await finetune({
    ...{ base, task, settings, maxLength, data: file('train'), validation: file('test'), out: join(folder, name) },
    variant: 'lora',
    adapter: { rank: 8 },
    precision: 'bfloat16',
    batch: { sequences: 8 },
    budget: { steps },
    learningRate: 5e-4,
    // The matrix scores all test rows; here only perplexity is measured.
    answers: { duringTraining: 0, atEnd: 0, samples: 0 },
    untrainedBaseline: false,
  } as Parameters<typeof finetune>[0])
  const { user, system } = process.cpuUsage(from)
  console.log(`${name}: ${Math.round((user + system) / 1e6)} CPU seconds`)
}

const score = async (folder: string, corpusTokens: number): Promise<void> => {
  const from = process.cpuUsage()
  const runs = names.map((name) => join(folder, name))
  const corpus = join(folder, 'data', 'c4.jsonl')
  const matrix = await compareMatrix({ runs, corpus, corpusTokens, dtype: 'bfloat16' })
  const { head, rows } = matrixTable(matrix)
  printTable([head, ...rows])
  writeFileSync(join(folder, 'matrix.json'), JSON.stringify(matrix))
  writeFileSync(join(folder, 'matrix.html'), renderMatrixPage(matrix))
  writeFileSync(join(folder, 'matrix.svg'), renderMatrixPicture(matrix))
  const { user, system } = process.cpuUsage(from)
  console.log(`matrix: ${Math.round((user + system) / 1e6)} CPU seconds`)
}

/** Runs the parts that `--parts` names, in the order of the study. */
export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      out: { type: 'string' },
      parts: { type: 'string', default: ['data', ...names, 'matrix'].join() },
      base: { type: 'string' },
      train: { type: 'string', default: smoke ? '16' : '240' },
      test: { type: 'string', default: smoke ? '2' : '80' },
      steps: { type: 'string', default: smoke ? '2' : '30' },
    },
  })
  const parts = chosenParts(values.parts, ['data', ...names, 'matrix'])
  const folder = values.out ?? mkdtempSync(join(tmpdir(), 'tunesmith-specialists-'))
  const base =
    values.base ?? (smoke ? await prepareSmoke(join(folder, 'base')) : findSmolLm2(peersPython() ?? 'python3'))
  if (parts.includes('data')) await prepare(folder, { train: Number(values.train), test: Number(values.test) })
  for (const name of names.filter((one) => parts.includes(one))) await train(folder, name, base, Number(values.steps))
  if (parts.includes('matrix')) await score(folder, smoke ? 200 : 3000)
}
