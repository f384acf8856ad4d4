// Generation for many prompts: batches of similar lengths, for little padding, and results in the order of the prompts.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type AbortOptions, type GenerationResult, generate, type Prompt } from './generate.ts'
import type { GenerationOptions } from './options.ts'

/** Options of `generateMany`. */
export interface GenerateManyOptions extends AbortOptions {
  /** Prompts in a batch (default: 8). */
  batchSize?: number
  /** Called after each batch with its results and the progress. */
  onBatch?(results: readonly GenerationResult[], done: { prompts: number; of: number }): void
}

/**
 * As `generate`, batch by batch: the same texts for any batch size. A text that ends leaves its batch.
 * @throws ConfigError as `generate`, and for a batch size below 1
 */
export const generateMany = async (
  model: Model,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  options: GenerationOptions = {},
  { batchSize = 8, onBatch, signal }: GenerateManyOptions = {},
): Promise<GenerationResult[]> => {
  if (!(Number.isInteger(batchSize) && batchSize > 0))
    throw new ConfigError(`Expected a whole number above 0 for \`batchSize\`, got ${batchSize}.`)
  const rows = prompts.map((prompt) => (typeof prompt === 'string' ? Array.from(tokenizer.encode(prompt).ids) : prompt))
  // The longest prompts first: if memory does not suffice, it fails at the beginning and not at the end.
  const order = Array.from(rows.keys()).sort((a, b) => rows[b].length - rows[a].length)
  const found: GenerationResult[][] = rows.map(() => [])
  const { seed } = options
  for (let at = 0; at < order.length && !signal?.aborted; at += batchSize) {
    const part = order.slice(at, at + batchSize)
    const results = await generate(
      model,
      tokenizer,
      part.map((i) => rows[i]),
      Array.isArray(seed) ? { ...options, seed: part.map((i) => seed[i]) } : options,
      { signal },
    )
    const placed = results.map((result) => ({ ...result, promptIndex: part[result.promptIndex] }))
    for (const result of placed) found[result.promptIndex].push(result)
    onBatch?.(placed, { prompts: Math.min(order.length, at + batchSize), of: order.length })
  }
  return found.flat()
}
