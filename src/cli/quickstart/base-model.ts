// The quickstart's base: a small GPT is pretrained on the shards, measured before and after, and writes samples. Independent of how the
// shards were made.
import { join } from 'node:path'
import { loadTokenizer } from '../../checkpoint/index.ts'
import { parseConfig } from '../../core/index.ts'
import { openTokens } from '../../data/index.ts'
import { loadForInference } from '../../inference/index.ts'
import type { Model } from '../../models/index.ts'
import { buildRun, type PretrainInput, pretrainSchema, runFiles } from '../../runs/index.ts'
import { evaluateLanguageModelling } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { readHistory } from '../../tracking/index.ts'
import type { CommandContext } from '../command.ts'
import { type RunCost, readCost } from './costs.ts'
import { runToEnd } from './run.ts'

/** Validation scores: perplexity, and the share of next tokens that is predicted right. */
export interface LanguageScores {
  perplexity: number
  accuracy: number
}

interface WrittenSample {
  step: number
  prompt: string
  text: string
}

export interface BaseResult {
  /** The folder that transformers opens. */
  model: string
  run: string
  /** Whether an earlier start had finished it. */
  skipped: boolean
  before: LanguageScores
  after: LanguageScores
  cost: RunCost
  samples: WrittenSample[]
}

// A few thousand predictions: enough to tell two models apart, in seconds.
const measuredTokens = 20_000

const measure = async (
  model: Model,
  tokenizer: Tokenizer,
  shards: string,
  signal: AbortSignal,
): Promise<LanguageScores> => {
  const source = await openTokens(shards, 'validation')
  try {
    const settings = { maxTokens: measuredTokens, resamples: 10 }
    const { metrics } = await evaluateLanguageModelling(model, tokenizer, source, settings, { signal })
    return { perplexity: metrics.perplexity.value, accuracy: metrics.accuracy.value }
  } finally {
    source.close()
  }
}

/** The scores of the model before its first step: the seed alone decides them. */
const measureUntrained = async (input: PretrainInput, tokenizer: Tokenizer, shards: string, signal: AbortSignal) => {
  const run = await buildRun(parseConfig(pretrainSchema, input, 'quickstart'))
  try {
    return await measure(run.trainable.model, tokenizer, shards, signal)
  } finally {
    run.close()
  }
}

export const trainBase = async (input: PretrainInput, context: CommandContext): Promise<BaseResult> => {
  const { out, data, tokenizer: folder } = input
  const shards = data as string
  const tokenizer = await loadTokenizer(folder)
  const before = await measureUntrained(input, tokenizer, shards, context.signal)
  const finished = await runToEnd({ ...input, command: 'pretrain' }, 'base', context)
  const path = join(out, runFiles.model)
  const { model } = await loadForInference({ model: path })
  const after = await measure(model, tokenizer, shards, context.signal)
  const cost = await readCost('base', out, path)
  const { samples } = await readHistory(out)
  return {
    model: path,
    run: out,
    skipped: finished === undefined,
    before,
    after,
    cost,
    samples: samples.map(({ step, prompt = '', text }) => ({ step, prompt, text })),
  }
}
