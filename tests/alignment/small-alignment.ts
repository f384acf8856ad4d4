// A small language model over a few words and invented preferences, for tests of alignment runs: "hi" is answered "ho" and never "hi".
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { Generator, setThreads } from '../../src/tensor/index.ts'
import { CHAT_TEMPLATES } from '../../src/tokenizers/index.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'

export interface SmallAlignment {
  root: string
  base: string
  at(name: string): string
  /** Writes rows of JSON lines. @returns the path */
  rows(name: string, rows: readonly object[]): string
  dispose(): void
}

const sizes = { hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 128 }

/** A folder with a base of the given architecture; tensors of this size only lose by threads. */
export const makeSmallAlignment = async (
  type: 'llama' | 'gpt2' = 'llama',
  { template }: { template?: keyof typeof CHAT_TEMPLATES } = {},
): Promise<SmallAlignment> => {
  setThreads(1)
  const root = mkdtempSync(join(tmpdir(), 'tunesmith-align-'))
  const at = (name: string) => join(root, name)
  const tokenizer = chatTokenizer(template === undefined ? {} : { chatTemplate: CHAT_TEMPLATES[template] })
  await tokenizer.save(at('tokenizer'))
  const definition = models[type] as unknown as ModelDefinition
  const config = definition.adjust(
    {},
    { ...sizes, ...(type === 'llama' ? { numKvHeads: 2 } : {}), vocabSize: tokenizer.maxId + 1 },
  )
  const model = buildModel(definition, config, 'causal-lm').initialize({ std: 0.1, generator: new Generator(1) })
  await saveModel(model, at('base'), { tokenizer: at('tokenizer') })
  return {
    root,
    base: at('base'),
    at,
    rows(name, rows) {
      writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      return at(name)
    },
    dispose: () => rmSync(root, { recursive: true, force: true }),
  }
}

const repeated = (word: string, times: number) => Array(times).fill(word).join(' ')

/** Prompts that say "hi" some times; the better answer says "ho" as often. */
export const pairRows = (count: number): object[] =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `${repeated('hi', 1 + (i % 4))} ${i}:`,
    chosen: ` ${repeated('ho', 1 + (i % 3))}`,
    rejected: ` ${repeated('hi', 1 + ((i + 1) % 3))}`,
  }))

/** The same as conversations. */
export const dialogueRows = (count: number): object[] =>
  (pairRows(count) as { prompt: string; chosen: string; rejected: string }[]).map(({ prompt, chosen, rejected }) => ({
    prompt: [{ role: 'user', content: prompt }],
    chosen: [{ role: 'assistant', content: chosen.trim() }],
    rejected: [{ role: 'assistant', content: rejected.trim() }],
  }))

/** The same answers, rated one by one. */
export const ratingRows = (count: number): object[] =>
  (pairRows(count) as { prompt: string; chosen: string; rejected: string }[]).map(({ prompt, chosen, rejected }, i) =>
    i % 2 === 0 ? { prompt, completion: chosen, label: true } : { prompt, completion: rejected, label: false },
  )
