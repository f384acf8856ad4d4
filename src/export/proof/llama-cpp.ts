// llama.cpp as the consumer of an export, through node-llama-cpp where it is installed: token ids and logits.
import type { ExportSource, ProofRow } from '../export-target.ts'
import { compareLogits } from './compare-models.ts'
import { compareTokenizers } from './compare-tokenizers.ts'

/** What is used of node-llama-cpp, an optional package. */
interface Package {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel>; dispose(): Promise<void> }>
  getModuleVersion(): Promise<string>
}
interface LlamaModel {
  tokenize(text: string, specialTokens: boolean): number[]
  createContext(options: object): Promise<LlamaContext>
  dispose(): Promise<void>
}
interface LlamaContext {
  getSequence(): Sequence
  dispose(): Promise<void>
}
interface Sequence {
  clearHistory(): Promise<void>
  controlledEvaluate(
    input: [token: number, options: { generateNext: { logits: true } }][],
  ): Promise<({ next: { logits?: ReadonlyMap<number, number> } } | undefined)[]>
}

const packageName = 'node-llama-cpp'

const load = async (): Promise<Package | undefined> => {
  try {
    return (await import(packageName)) as Package
  } catch {
    return undefined
  }
}

/** Note where the package is missing. */
export const missingConsumer =
  'GGUF files were read back by Tunesmith only: `npm install node-llama-cpp` compares them in llama.cpp too.'

const more = (limit: number): number => Number((1.5 * limit).toPrecision(3))

/** Tokens of a text that are compared: each takes a pass through the vocabulary in JavaScript. */
const maxTokens = 24

/**
 * Compares an export in llama.cpp with its source.
 * @returns undefined where node-llama-cpp is not installed
 */
export const proveInLlamaCpp = async (
  source: ExportSource,
  path: string,
  texts: readonly string[],
  { target, limits }: { target: string; limits: { logits: number; kl: number } },
): Promise<ProofRow[] | undefined> => {
  const loaded = await load()
  if (loaded === undefined) return undefined
  const consumer = `${packageName} ${await loaded.getModuleVersion()}`
  // llama.cpp keeps keys and values in float16, and multiplies quantised matrices with inputs of 8 bits.
  const comparison = {
    target,
    consumer,
    limit: Math.max(1e-2, more(limits.logits)),
    klLimit: Math.max(1e-3, more(limits.kl)),
  }
  const llama = await loaded.getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' })
  try {
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
    const context = await model.createContext({ contextSize: 256 })
    const sequence = context.getSequence()
    // llama.cpp adds the start token when it evaluates, not here: texts are compared without special tokens.
    const encode = (text: string) => ({ ids: model.tokenize(text, false) })
    const plain = { ...source, tokenizer: withoutSpecialTokens(source.tokenizer) }
    const tokens = compareTokenizers(plain, { encode }, texts, comparison)
    const rows = await compareLogits(source, texts, comparison, maxTokens, async (ids, width) => {
      await sequence.clearHistory()
      const found = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { logits: true } }]))
      const values = new Float32Array(ids.length * width)
      for (const [row, output] of found.entries())
        for (const [token, logit] of output?.next.logits ?? []) values[row * width + token] = logit
      return values
    })
    await context.dispose()
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
