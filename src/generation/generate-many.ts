// Generation for many prompts: a scheduler keeps its rows full, and results come in the order of the prompts.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { generate } from './generate.ts'
import type { AbortOptions, GenerationResult, Prompt } from './job.ts'
import { type GenerationOptions, parseGeneration } from './options.ts'
import { GenerationScheduler } from './scheduler.ts'
import type { SpeculationOptions } from './speculation.ts'

/** Options of `generateMany`. */
export interface GenerateManyOptions extends AbortOptions {
  /** Maximum number of texts that are computed together; in beam search, prompts in a batch (default: 8). */
  batchSize?: number
  /** Proposes the next tokens of texts, which are computed at once (default: none are proposed). */
  speculation?: SpeculationOptions
  /** Called whenever `batchSize` more prompts are done, and at the end, with their results and the progress. */
  onBatch?(results: readonly GenerationResult[], done: { prompts: number; of: number }): void
}

/** Token ids of one prompt, and its place. */
interface PlacedPrompt {
  ids: readonly number[]
  index: number
}

interface Plan {
  model: Model
  tokenizer: Tokenizer
  /** The longest first: if memory does not suffice, it fails at the beginning and not at the end. */
  prompts: readonly PlacedPrompt[]
  options: GenerationOptions
  batchSize: number
  speculation: SpeculationOptions | undefined
  signal: AbortSignal | undefined
  /** Gets the results of each prompt. */
  done(results: GenerationResult[]): void
}

/** The seed of one prompt. */
const optionsFor = (options: GenerationOptions, { index }: PlacedPrompt): GenerationOptions =>
  Array.isArray(options.seed) ? { ...options, seed: options.seed[index] } : options

/** Beam search reorders the rows of a batch, so it goes batch by batch. */
const searchBatches = async ({ model, tokenizer, prompts, options, batchSize, signal, done }: Plan): Promise<void> => {
  for (let at = 0; at < prompts.length && !signal?.aborted; at += batchSize) {
    const part = prompts.slice(at, at + batchSize)
    const ids = part.map((prompt) => prompt.ids)
    const results = await generate(model, tokenizer, ids, options, { signal })
    for (const [i, { index }] of part.entries())
      done(results.filter(({ promptIndex }) => promptIndex === i).map((result) => ({ ...result, promptIndex: index })))
  }
}

const schedule = async ({
  model,
  tokenizer,
  prompts,
  options,
  batchSize,
  speculation,
  signal,
  done,
}: Plan): Promise<void> => {
  const scheduler = new GenerationScheduler(model, { tokenizer, maxRows: batchSize, speculation })
  try {
    const groups = prompts.map((prompt) => {
      const handles = scheduler.submitGroup({ prompt: prompt.ids, options: optionsFor(options, prompt), signal })
      return { handles, index: prompt.index }
    })
    await Promise.all(
      groups.map(async ({ handles, index }) => {
        const results = await Promise.all(handles.map(({ result }) => result))
        // What was not begun before an abort has no result.
        const begun = results.filter(({ finishReason, newTokens }) => finishReason !== 'aborted' || newTokens > 0)
        if (begun.length > 0) done(begun.map((result) => ({ ...result, promptIndex: index })))
      }),
    )
  } finally {
    scheduler.free()
  }
}

/**
 * As `generate`, for many prompts: the same texts for any batch size. A text that ends is replaced by the next prompt at
 * once.
 * @throws ConfigError as `generate`, and for a batch size below 1
 */
export const generateMany = async (
  model: Model,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  options: GenerationOptions = {},
  { batchSize = 8, speculation, onBatch, signal }: GenerateManyOptions = {},
): Promise<GenerationResult[]> => {
  if (!(Number.isInteger(batchSize) && batchSize > 0))
    throw new ConfigError(`Expected a whole number above 0 for \`batchSize\`, got ${batchSize}.`)
  const { seed, numBeams, useCache } = parseGeneration(options)
  if (Array.isArray(seed) && seed.length !== prompts.length)
    throw new ConfigError(`Expected a \`seed\` for each of ${prompts.length} prompts, got ${seed.length}.`)
  const rows = prompts.map((prompt, index) => ({
    ids: typeof prompt === 'string' ? Array.from(tokenizer.encode(prompt).ids) : prompt,
    index,
  }))
  const found: GenerationResult[][] = rows.map(() => [])
  let batch: GenerationResult[] = []
  let finished = 0
  const report = () => {
    if (batch.length > 0) onBatch?.(batch, { prompts: finished, of: rows.length })
    batch = []
  }
  const done = (results: GenerationResult[]) => {
    found[results[0].promptIndex] = results
    batch.push(...results)
    finished++
    if (finished % batchSize === 0) report()
  }
  const longestFirst = rows.sort((a, b) => b.ids.length - a.ids.length)
  const plan = { model, tokenizer, prompts: longestFirst, options, batchSize, speculation, signal, done }
  if (speculation !== undefined && (numBeams > 1 || !useCache))
    throw new ConfigError('`speculation` works without beams and with `useCache`. Remove it, `numBeams` or `useCache`.')
  if (numBeams > 1 || !useCache) await searchBatches(plan)
  else await schedule(plan)
  report()
  return found.flat()
}
