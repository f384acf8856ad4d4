// Invented data for short runs: token shards, and rows for tasks and preferences. Lengths vary, so that batches do.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom, type Random } from '../../src/core/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'

/** Files of the data below a folder. */
export interface PlannerData {
  folder: string
  /** Tokenizer and shards by the type of tokenizer. */
  shards: Record<'bpe' | 'wordpiece', { tokenizer: string; data: string }>
  labels: string
  words: string
  chats: string
  summaries: string
  pairs: string
  ratings: string
  prompts: string
}

/** Sentinels of span corruption. */
const sentinels = Array.from({ length: 60 }, (_, i) => `<extra_id_${i}>`)

const syllables = 'ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu'.split(' ')

const sentence = (random: Random, words: readonly string[], length: number): string =>
  Array.from({ length }, () => words[Math.min(random.integer(words.length), random.integer(words.length))]).join(' ')

/** Text of 2,000 words, so that vocabularies of some thousand tokens can be trained. */
const inventWords = (random: Random): string[] => [
  ...new Set(
    Array.from({ length: 2000 }, () =>
      Array.from({ length: 1 + random.integer(4) }, () => syllables[random.integer(syllables.length)]).join(''),
    ),
  ),
]

const writeRows = (path: string, rows: readonly object[]): string => {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

/** Makes all data. */
export const makePlannerData = async (folder: string): Promise<PlannerData> => {
  const random = createRandom('planner')
  const words = inventWords(random)
  const text = (least: number, spread: number) => sentence(random, words, least + random.integer(spread))
  const documents = Array.from({ length: 1200 }, () => text(40, 400))
  const shardsOf = async (type: 'bpe' | 'wordpiece') => {
    const tokenizer = join(folder, `${type}-tokenizer`)
    const data = join(folder, `${type}-shards`)
    const { files } = await trainTokenizer(documents, { type, vocabSize: 4096, extraTokens: sentinels }, { workers: 1 })
    await writeTokenizerFolder(tokenizer, files)
    await encodeShards(documents, tokenizer, data, { validation: 0.05 }, { workers: 1 })
    return { tokenizer, data }
  }
  const rows = (count: number, make: () => object) => Array.from({ length: count }, make)
  return {
    folder,
    shards: { bpe: await shardsOf('bpe'), wordpiece: await shardsOf('wordpiece') },
    labels: writeRows(
      join(folder, 'labels.jsonl'),
      rows(600, () => ({ text: text(5, 60), label: `class ${random.integer(3)}` })),
    ),
    words: writeRows(
      join(folder, 'words.jsonl'),
      rows(400, () => {
        const tokens = text(5, 40).split(' ')
        return { tokens, tags: tokens.map(() => (random.integer(4) === 0 ? 'B-NAME' : 'O')) }
      }),
    ),
    chats: writeRows(
      join(folder, 'chats.jsonl'),
      rows(400, () => ({ instruction: text(5, 20), output: text(5, 60) })),
    ),
    summaries: writeRows(
      join(folder, 'summaries.jsonl'),
      rows(300, () => ({ text: text(40, 80), summary: text(5, 15) })),
    ),
    pairs: writeRows(
      join(folder, 'pairs.jsonl'),
      rows(300, () => ({ prompt: text(5, 20), chosen: text(5, 40), rejected: text(5, 40) })),
    ),
    ratings: writeRows(
      join(folder, 'ratings.jsonl'),
      rows(300, () => ({ prompt: text(5, 20), completion: text(5, 40), label: random.integer(2) === 0 })),
    ),
    prompts: writeRows(
      join(folder, 'prompts.jsonl'),
      rows(200, () => ({ prompt: text(5, 20) })),
    ),
  }
}
