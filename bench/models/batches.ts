// Batches that both sides of the models benchmark run: ids of real questions and passages, as a retrieval system embeds them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { dataFolder } from '../side-by-side.ts'

export interface Batches {
  /** 32 x 128 ids. */
  fixed: number[][]
  /** Questions and passages in turn by chance, as long as they are, in batches of 32. */
  mixed: number[][][]
}

const batchSize = 32
/** As sentence-transformers cuts for MiniLM. */
const maxLength = 256

interface Squad {
  data: { paragraphs: { context: string; qas: { question: string }[] }[] }[]
}

const texts = (count: number): string[] => {
  const random = createRandom(4)
  const { data } = JSON.parse(
    gunzipSync(readFileSync(join(dataFolder(), 'squad-v2', 'dev-v2.0.json.gz'))).toString(),
  ) as Squad
  const paragraphs = data.flatMap((article) => article.paragraphs)
  return Array.from({ length: count }, () => {
    const { context, qas } = paragraphs[random.integer(paragraphs.length)]
    return random.float() < 0.5 ? context : qas[0].question
  })
}

export const makeBatches = async (count: number): Promise<Batches> => {
  const tokenizer = await loadTokenizer(join(dataFolder(), 'vocab', 'bert_base_uncased_vocab.txt'))
  const truncation = { maxLength }
  const rows = texts(count * batchSize).map((text) => [...tokenizer.encode(text, { truncation }).ids])
  const long = rows.filter((ids) => ids.length >= 128)
  return {
    fixed: Array.from({ length: batchSize }, (_, i) => long[i % long.length].slice(0, 128)),
    mixed: Array.from({ length: count }, (_, i) => rows.slice(i * batchSize, (i + 1) * batchSize)),
  }
}
