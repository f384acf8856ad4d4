// The folder in which the documentation's programs run: small files and models under the names that the pages use.
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { buildCorpus, readCorpus } from '../../src/corpus/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import { buildModel, type HeadType, type ModelDefinition, type ModelType, models } from '../../src/models/index.ts'
import { pretrain } from '../../src/runs/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { CHAT_TEMPLATES, trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { root } from './pages.ts'

/** Hub ids in the pages, and the small models that stand for them in the test. */
export const substitutes: Readonly<Record<string, string>> = {
  'sentence-transformers/all-MiniLM-L6-v2': 'models/encoder',
  'google-bert/bert-base-uncased': 'models/encoder',
  'HuggingFaceTB/SmolLM2-135M-Instruct': 'models/chat',
  'HuggingFaceTB/SmolLM2-135M': 'models/decoder',
}

const moods = {
  positive: ['a lovely and quiet book', 'great fun from start to end', 'wonderful, warm and clever'],
  negative: ['a dull and endless book', 'boring from start to end', 'cold, empty and stupid'],
}

const writeData = (folder: string): void => {
  const rows = Object.entries(moods).flatMap(([label, texts]) =>
    Array.from({ length: 24 }, (_, i) => ({ text: `${texts[i % 3]}, number ${i}`, label })),
  )
  writeFileSync(
    join(folder, 'reviews.csv'),
    `text,label\n${rows.map(({ text, label }) => `"${text}",${label}\n`).join('')}`,
  )
  const posts = rows.map(({ text, label }, i) => `"${text}, post ${i}",${label.slice(0, 3)}\n`)
  writeFileSync(join(folder, 'forum.csv'), `post,label\n${posts.join('')}`)
  writeFileSync(join(folder, 'reviews.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  writeFileSync(join(folder, 'texts.txt'), rows.map(({ text }) => `${text}\n`).join(''))
  const chats = rows.map(({ text, label }) => ({
    messages: [
      { role: 'user', content: text },
      { role: 'assistant', content: label },
    ],
  }))
  writeFileSync(join(folder, 'chats.jsonl'), chats.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const pairs = rows.map(({ text }) => ({
    chosen: [
      { role: 'user', content: text },
      { role: 'assistant', content: 'It is.' },
    ],
    rejected: [
      { role: 'user', content: text },
      { role: 'assistant', content: 'Why not?' },
    ],
  }))
  writeFileSync(join(folder, 'pairs.jsonl'), pairs.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const questions = rows.map(({ text }) => ({ question: `Who wrote about ${text}?`, passage: `It was about ${text}.` }))
  writeFileSync(join(folder, 'questions.jsonl'), questions.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const problems = rows.map((_, i) => ({ question: `What is ${i} + 1?`, answer: `#### ${i + 1}` }))
  writeFileSync(join(folder, 'problems.jsonl'), problems.map((row) => `${JSON.stringify(row)}\n`).join(''))
  mkdirSync(join(folder, 'books'))
  const books = join(root, 'quickstart/data/books')
  for (const name of readdirSync(books)
    .filter((one) => one.endsWith('.md.bz2'))
    .slice(0, 2))
    writeFileSync(join(folder, 'books', name), readFileSync(join(books, name)))
}

const saveSmall = async (folder: string, name: string, type: ModelType, head: HeadType, tokenizer: string) => {
  const { maxId } = await loadTokenizer(tokenizer)
  const definition = models[type] as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: maxId + 1, maxPositions: 512 })
  const model = buildModel(definition, config, head).initialize({ std: 0.02, generator: new Generator(1) })
  await saveModel(model, join(folder, name), { tokenizer })
}

/** Makes the folder's contents; `node_modules/tunesmith` is this package. */
export const makeWorkFolder = async (folder: string): Promise<void> => {
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules/tunesmith'))
  symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'))
  symlinkSync(join(root, 'node_modules/zod'), join(folder, 'node_modules/zod'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  writeData(folder)
  await buildCorpus({ out: join(folder, 'corpus'), source: [`books:${join(folder, 'books')}`] })
  async function* documents() {
    for await (const { text } of readCorpus(join(folder, 'corpus'))) yield text
  }
  const wordpiece = await trainTokenizer(documents(), { type: 'wordpiece', vocabSize: 400 })
  await writeTokenizerFolder(join(folder, 'tokenizer'), wordpiece.files)
  const bpe = await trainTokenizer(documents(), { type: 'bpe', vocabSize: 400 })
  await writeTokenizerFolder(join(folder, 'bpe'), bpe.files)
  const config = join(folder, 'bpe/tokenizer_config.json')
  const fields = JSON.parse(readFileSync(config, 'utf8')) as object
  writeFileSync(config, JSON.stringify({ ...fields, chat_template: CHAT_TEMPLATES.plain }))
  await encodeShards(documents(), join(folder, 'tokenizer'), join(folder, 'shards'), { validation: 0.5 })
  await saveSmall(folder, 'models/encoder', 'bert', 'masked-lm', join(folder, 'tokenizer'))
  await saveSmall(folder, 'bert-folder', 'bert', 'masked-lm', join(folder, 'tokenizer'))
  await saveSmall(folder, 'models/decoder', 'gpt2', 'causal-lm', join(folder, 'bpe'))
  await saveSmall(folder, 'models/chat', 'gpt2', 'causal-lm', join(folder, 'bpe'))
  await pretrain({
    model: { type: 'bert', preset: 'test' },
    objective: { type: 'masked-lm' },
    data: join(folder, 'shards'),
    tokenizer: join(folder, 'tokenizer'),
    maxLength: 64,
    batch: { sequences: 2 },
    budget: { steps: 2 },
    out: join(folder, 'runs/books'),
  })
}
