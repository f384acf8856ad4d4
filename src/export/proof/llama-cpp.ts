// llama.cpp as the consumer of an export, through node-llama-cpp where it is installed: token ids, logits and greedy tokens.
import { availableParallelism } from 'node:os'
import { EmbeddingHead, type Model, Seq2SeqLmHead } from '../../models/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { compareEmbeddings, compareGreedy, compareLogits } from './compare-models.ts'
import { compareTokenizers } from './compare-tokenizers.ts'
import type { Comparison } from './differences.ts'
import { type ConsumerPackage, type Decoding, openConsumer, type Runner } from './runner.ts'

/** What is used of node-llama-cpp, an optional package. */
interface Package {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel>; dispose(): Promise<void> }>
  getModuleVersion(): Promise<string>
}
interface LlamaModel {
  tokenize(text: string, specialTokens: boolean): number[]
  createContext(options: object): Promise<LlamaContext>
  createEmbeddingContext(options: object): Promise<EmbeddingContext>
  dispose(): Promise<void>
}
interface EmbeddingContext {
  getEmbeddingFor(tokens: number[]): Promise<{ vector: readonly number[] }>
  dispose(): Promise<void>
}
interface LlamaContext {
  getSequence(): Sequence
  dispose(): Promise<void>
}
interface Sequence {
  clearHistory(): Promise<void>
  controlledEvaluate(
    input: [token: number, options: { generateNext: { logits?: true } }][],
  ): Promise<({ next: { logits?: ReadonlyMap<number, number> } } | undefined)[]>
}

const llamaCpp: ConsumerPackage<Package> = {
  name: 'node-llama-cpp',
  oldest: '3.22.0',
  versionOf: ({ getModuleVersion }) => getModuleVersion(),
  without: 'GGUF files were read back by Tunesmith only',
}

/** Files that llama.cpp opens. */
interface LlamaFiles {
  model: string
  /** An adapter for it. */
  lora?: string
}

/** What is compared in the opened model. */
type Compare = (
  source: ExportSource,
  model: LlamaModel,
  texts: readonly string[],
  options: Comparison & { reference: Runner; lora?: string },
) => Promise<ProofRow[]>

/** Tokens of a text that are compared: each takes a pass through the vocabulary in JavaScript. */
const maxTokens = 24

const rowOf = (logits: ReadonlyMap<number, number> | undefined, row: Float32Array): Float32Array => {
  for (const [token, logit] of logits ?? []) row[token] = logit
  return row
}

const runnerOf = (sequence: Sequence, consumer: string, vocabSize: number): Runner => ({
  consumer,
  logits: async ({ ids }) => {
    await sequence.clearHistory()
    const found = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { logits: true } }]))
    const values = new Float32Array(ids.length * vocabSize)
    for (const [row, output] of found.entries())
      rowOf(output?.next.logits, values.subarray(row * vocabSize, (row + 1) * vocabSize))
    return values
  },
  decode: async ({ ids }): Promise<Decoding> => {
    await sequence.clearHistory()
    return {
      next: async (token) => {
        const given = token === undefined ? ids : [token]
        const outputs = await sequence.controlledEvaluate(
          given.map((id, i) => [id, { generateNext: i === given.length - 1 ? { logits: true } : {} }]),
        )
        return rowOf(outputs[given.length - 1]?.next.logits, new Float32Array(vocabSize))
      },
      free: async () => {},
    }
  },
})

/** Logits and greedy tokens of a decoder. */
const compareDecoder: Compare = async (source, model, texts, { reference, lora, ...comparison }) => {
  const context = await model.createContext({
    contextSize: 256,
    ...(lora === undefined ? {} : { lora: { adapters: [{ filePath: lora }] } }),
  })
  const runner = runnerOf(context.getSequence(), comparison.consumer, source.model.facts.vocabSize)
  const rows = [
    ...(await compareLogits(source, runner, texts, comparison, { most: maxTokens, reference })),
    ...(await compareGreedy(source, runner, texts, comparison, { reference, prompts: 1 })),
  ]
  await context.dispose()
  return rows
}

/** Tokens of a text whose embedding is compared, with those around it. */
const mostContext = 256

/** Texts shortened until all of their tokens fit, and one that node-llama-cpp may add: a text that is cut has no end token. */
const fitting = ({ tokenizer }: ExportSource, texts: readonly string[], size: number): string[] =>
  texts.map((text) => {
    let short = text
    while (short.length > 1 && tokenizer.encode(short).ids.length >= size - 1)
      short = short.slice(0, -short.length / 4 - 1)
    return short
  })

/** Embeddings of an encoder. llama.cpp adds the tokens around a text itself. */
const compareEncoder: Compare = async (source, model, texts, { reference, lora: _, ...comparison }) => {
  const size = Math.min(source.model.facts.maxPositions ?? mostContext, mostContext)
  const context = await model.createEmbeddingContext({ contextSize: size })
  const runner: Runner = {
    consumer: comparison.consumer,
    logits: async ({ ids }) => Float32Array.from((await context.getEmbeddingFor([...ids])).vector),
  }
  const rows = await compareEmbeddings(source, runner, fitting(source, texts, size), comparison, reference)
  await context.dispose()
  return rows
}

/** By head; others are decoders. node-llama-cpp runs no encoder-decoder: only its tokenizer is compared. */
const comparisons: { fits(model: Model): boolean; compare: Compare }[] = [
  { fits: ({ head }) => head instanceof EmbeddingHead, compare: compareEncoder },
  { fits: ({ head }) => head instanceof Seq2SeqLmHead, compare: async () => [] },
]

/**
 * Compares an export in llama.cpp with our own reading of the file, whose weights are the same.
 * @param files called only where node-llama-cpp is installed
 * @returns no rows where node-llama-cpp is not installed or too old, which is noted
 */
export const proveInLlamaCpp = async (
  source: ExportSource,
  files: () => Promise<LlamaFiles>,
  texts: readonly string[],
  { target, reference, note }: { target: string; reference: Runner; note(line: string): void },
  limits: Pick<Comparison, 'limit' | 'klLimit'>,
): Promise<ProofRow[]> => {
  const opened = await openConsumer(llamaCpp, note)
  if (opened === undefined) return []
  const comparison = { target, consumer: opened.consumer, ...limits }
  // Its threads wait for each other without sleeping, which takes minutes where all cores are busy.
  const threads = Math.max(1, Math.floor(availableParallelism() / 2))
  const llama = await opened.module.getLlama({
    gpu: false,
    build: 'never',
    progressLogs: false,
    logLevel: 'error',
    maxThreads: threads,
  })
  try {
    const { model: modelPath, lora } = await files()
    const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
    // llama.cpp adds the start token when it evaluates, not here: texts are compared without special tokens.
    const encode = (text: string) => ({ ids: model.tokenize(text, false) })
    const plain = { ...source, tokenizer: withoutSpecialTokens(source.tokenizer) }
    const tokens = compareTokenizers(plain, { encode }, texts, comparison)
    const compare = comparisons.find(({ fits }) => fits(source.model))?.compare ?? compareDecoder
    const rows = await compare(source, model, texts, { ...comparison, reference, ...(lora && { lora }) })
    await model.dispose()
    return [...rows, tokens]
  } finally {
    await llama.dispose()
  }
}

const withoutSpecialTokens = (tokenizer: ExportSource['tokenizer']): ExportSource['tokenizer'] =>
  Object.assign(Object.create(tokenizer) as ExportSource['tokenizer'], {
    encode: (text: string) => tokenizer.encode(text, { addSpecialTokens: false }),
  })
