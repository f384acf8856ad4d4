// Texts for many prompts: batches of like lengths, so that little is padding, and results in the order of the prompts. Knows no file.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type GenerationResult, generate, type Prompt, type RunOptions } from './generate.ts'
import type { GenerationOptions } from './options.ts'

export interface ManyOptions extends RunOptions {
  /** Prompts that are continued at once; 8 unless given. */
  batchSize?: number
  /** Called after each batch, with the results of its prompts. */
  onBatch?(results: readonly GenerationResult[], done: { prompts: number; of: number }): void
}

/**
 * As `generate`, batch by batch: the same texts, whatever the batches are. A text that ends leaves its batch.
 * @throws ConfigError as `generate` does, and for a batch without room
 */
export const generateMany = async (
  model: Model,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  options: GenerationOptions = {},
  { batchSize = 8, onBatch, signal }: ManyOptions = {},
): Promise<GenerationResult[]> => {
  if (!(Number.isInteger(batchSize) && batchSize > 0))
    throw new ConfigError(`Expected a whole number above 0 for \`batchSize\`, got ${batchSize}.`)
  const rows = prompts.map((prompt) => (typeof prompt === 'string' ? Array.from(tokenizer.encode(prompt).ids) : prompt))
  // The longest first: what needs most memory fails at once, and not at the end.
  const order = Array.from(rows.keys()).sort((a, b) => rows[b].length - rows[a].length)
  const found: GenerationResult[][] = rows.map(() => [])
  const { seed } = options
  for (let at = 0; at < order.length && !signal?.aborted; at += batchSize) {
    const part = order.slice(at, at + batchSize)
    const made = await generate(
      model,
      tokenizer,
      part.map((i) => rows[i]),
      Array.isArray(seed) ? { ...options, seed: part.map((i) => seed[i]) } : options,
      { signal },
    )
    const placed = made.map((result) => ({ ...result, promptIndex: part[result.promptIndex] }))
    for (const result of placed) found[result.promptIndex].push(result)
    onBatch?.(placed, { prompts: Math.min(order.length, at + batchSize), of: order.length })
  }
  return found.flat()
}
