// Writes what both sides of a job read: rows of token ids, the tokenizer, and the first weights as transformers opens them.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { vocabularyFacts } from '../../src/objectives/index.ts'
import {
  loadTokenizer,
  saveTokenizer,
  type Tokenizer,
  trainTokenizer,
  writeTokenizerFolder,
} from '../../src/tokenizers/index.ts'
import { bookLines } from '../book-lines.ts'
import type { Job } from './jobs.ts'
import { makeModel } from './model.ts'

/** Paragraphs of the first books, in the order of their files. */
const paragraphs = async (data: string, megabytes: number): Promise<string[]> => {
  const out: string[] = []
  let size = 0
  for await (const line of bookLines(data)) {
    out.push(line)
    size += line.length
    if (size > megabytes * 1e6) break
  }
  return out
}

const makeTokenizer = async (job: Job, lines: string[], data: string, folder: string): Promise<Tokenizer> => {
  if (job.tokenizer === 'gpt2') return loadTokenizer(join(data, 'vocab', 'gpt2'))
  if (job.tokenizer === 'bert') return loadTokenizer(join(data, 'vocab', 'bert_base_uncased_vocab.txt'))
  const type = job.objective === 'masked-lm' ? 'wordpiece' : 'bpe'
  const vocabSize = Number(job.config.vocabSize ?? 1024)
  const { files } = await trainTokenizer(lines, { type, vocabSize, validation: 0 })
  await writeTokenizerFolder(folder, files)
  return loadTokenizer(folder)
}

/** Rows without the tokens that open and close them: whole blocks of the joined text, or a paragraph each. */
const rowsOf = (job: Job, lines: readonly string[], tokenizer: Tokenizer): Uint32Array[] => {
  const paragraphIds = lines.map((line) => tokenizer.encode(line, { addSpecialTokens: false }).ids)
  if (job.rows === 'paragraphs')
    return paragraphIds.filter(({ length }) => length >= 8).map((ids) => Uint32Array.from(ids.slice(0, job.length - 2)))
  const all = new Uint32Array(paragraphIds.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const ids of paragraphIds) {
    all.set(ids, at)
    at += ids.length
  }
  return Array.from({ length: Math.floor(all.length / job.length) }, (_, i) =>
    all.slice(i * job.length, (i + 1) * job.length),
  )
}

export interface Prepared {
  rows: number
  parameters: number
  /** Share of a batch that is not padding, where rows are padded to the longest of their batch. */
  fill: number
}

/** Fills `folder`. @param data a folder with books and vocabularies, as ../shared/data is */
export const prepare = async (job: Job, data: string, folder: string, megabytes: number): Promise<Prepared> => {
  mkdirSync(folder, { recursive: true })
  const lines = await paragraphs(data, megabytes)
  const tokenizerFolder = join(folder, 'tokenizer')
  const tokenizer = await makeTokenizer(job, lines, data, tokenizerFolder)
  if (job.tokenizer !== 'trained') await saveTokenizer(tokenizer, tokenizerFolder)
  const rows = rowsOf(job, lines, tokenizer)
  if (rows.length < job.batch * job.steps)
    throw new Error(`Expected ${job.batch * job.steps} rows, got ${rows.length} from ${lines.length} lines of ${data}.`)
  const random = createRandom('bench/rows')
  random.shuffle(rows)
  const ends = new Uint32Array(rows.length)
  let at = 0
  for (const [i, { length }] of rows.entries()) {
    at += length
    ends[i] = at
  }
  const ids = new Uint32Array(at)
  for (const [i, row] of rows.entries()) ids.set(row, ends[i] - row.length)
  writeFileSync(join(folder, 'ids.bin'), ids)
  writeFileSync(join(folder, 'ends.bin'), ends)
  const around = job.rows === 'paragraphs' ? 2 : 0
  let padded = 0
  for (let i = 0; i < rows.length; i += job.batch) {
    const batch = rows.slice(i, i + job.batch)
    padded += batch.length * (Math.max(...batch.map(({ length }) => length)) + around)
  }
  const vocabulary = vocabularyFacts(tokenizer)
  const model = makeModel(job, vocabulary)
  await saveModel(model, join(folder, 'model'))
  const parameters = [...new Set(model.parameters().values())].reduce((sum, { size }) => sum + size, 0)
  return { rows: rows.length, parameters, fill: (at + around * rows.length) / padded }
}
