// Evaluation of a language model on text: perplexity, bits per byte and accuracy, and minimal pairs of good and bad sentences.
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, exists, formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { openTexts, readCorpus } from '../../corpus/index.ts'
import { openTokens } from '../../data/index.ts'
import {
  evaluateLanguageModelling,
  evaluateMinimalPairs,
  type Interval,
  type LanguageModellingResult,
  type LanguageSource,
  languageModellingSchema,
  type MinimalPairsResult,
} from '../../tasks/index.ts'
import { type InferenceModel, loadLanguageModel } from '../load.ts'
import { defineEvaluation, type EvaluateHooks } from './evaluation.ts'

/** The results on text and on minimal pairs, each when it was requested. */
export interface LanguageModellingReport {
  text?: LanguageModellingResult
  minimalPairs?: MinimalPairsResult
}

type Split = 'train' | 'validation'

const documentBytes = 8 << 20

/** Token shards, corpora or text files, distinguished by the manifest in the folder. */
export const openLanguageSource = async (
  paths: readonly string[],
  split: Split,
  signal: AbortSignal | undefined,
): Promise<{ source: LanguageSource; close(): void }> => {
  const kinds = await Promise.all(
    paths.map(async (path) => {
      if (await exists(join(path, 'corpus.json'))) return 'corpus'
      return (await exists(join(path, 'manifest.json'))) ? 'shards' : 'files'
    }),
  )
  if (!kinds.includes('shards')) {
    const ofKind = (kind: string) => paths.filter((_, i) => kinds[i] === kind)
    const [corpora, files] = [ofKind('corpus'), ofKind('files')]
    const texts =
      files.length === 0 ? undefined : await openTexts({ corpora: [], files }, { maxBytes: documentBytes, signal })
    async function* documents(): AsyncGenerator<string> {
      for (const corpus of corpora) for await (const { text } of readCorpus(corpus, { signal })) yield text
      if (texts !== undefined) yield* texts.documents()
    }
    return { source: documents(), close() {} }
  }
  if (paths.length > 1)
    throw new ConfigError(`Expected one folder of shards for \`data\`, got ${paths.length} paths. Evaluate one by one.`)
  const source = await openTokens(paths[0], split)
  if (source.tokens === 0) {
    source.close()
    throw new DataError(`Expected tokens in the ${split} split, got none. Choose the other one with --split.`, paths[0])
  }
  return { source, close: () => source.close() }
}

const evaluateText = async (
  { model, tokenizer }: InferenceModel,
  data: readonly string[],
  { split, ...settings }: { split: Split } & z.output<typeof languageModellingSchema>,
  { onProgress, signal, group }: EvaluateHooks,
) => {
  const { source, close } = await openLanguageSource(data, split, signal)
  try {
    return await evaluateLanguageModelling(model, tokenizer, source, settings, {
      signal,
      group,
      onProgress: ({ tokens, totalTokens }) =>
        onProgress?.({ label: 'Evaluating text', unit: 'tokens', done: tokens, of: totalTokens }),
    })
  } finally {
    close()
  }
}

type PairSettings = { maxPairs?: number } & z.output<typeof languageModellingSchema>

const evaluatePairs = async (
  { model, tokenizer }: InferenceModel,
  paths: readonly string[],
  { maxPairs, batchTokens, seed, resamples, confidence }: PairSettings,
  { onProgress, signal, group }: EvaluateHooks,
) =>
  evaluateMinimalPairs(
    model,
    tokenizer,
    paths,
    { maxPairs, batchTokens, seed, resamples, confidence },
    {
      signal,
      group,
      onProgress: ({ pairs, totalPairs }) =>
        onProgress?.({ label: 'Scoring minimal pairs', unit: 'pairs', done: pairs, of: totalPairs }),
    },
  )

const renderInterval = ({ value, low, high }: Interval): string =>
  `${value.toPrecision(4)}  [${low.toPrecision(4)}, ${high.toPrecision(4)}]`

const renderMetrics = (metrics: Record<string, Interval>): string[] => {
  const width = Math.max(...Object.keys(metrics).map((name) => name.length))
  return Object.entries(metrics).map(([name, interval]) => `  ${name.padEnd(width)}  ${renderInterval(interval)}`)
}

export const languageModelling = defineEvaluation({
  type: 'language-modelling',
  options: languageModellingSchema.extend({
    split: z.enum(['train', 'validation']).default('validation').describe('token shards: which split to evaluate'),
    blimp: z
      .array(z.string())
      .default([])
      .describe('minimal pairs in the format of BLiMP: .jsonl files, or folders or .tar.gz archives of these'),
    maxPairs: z.int().positive().optional().describe('minimal pairs per paradigm (default: all)'),
  }),
  async run(
    { data, recorded: _, ...choice },
    { blimp, maxPairs, split, ...settings },
    hooks,
  ): Promise<LanguageModellingReport> {
    if (data.length + blimp.length === 0)
      throw new ConfigError('`language-modelling` needs text to evaluate on: set `data`, `blimp` or both.')
    const { onProgress, signal, group, ...loading } = hooks
    const loaded = await loadLanguageModel(choice, loading)
    return {
      ...(data.length > 0 ? { text: await evaluateText(loaded, data, { split, ...settings }, hooks) } : {}),
      ...(blimp.length > 0
        ? { minimalPairs: await evaluatePairs(loaded, blimp, { maxPairs, ...settings }, hooks) }
        : {}),
    }
  },
  render: ({ text, minimalPairs }: LanguageModellingReport) => {
    const parts: string[] = []
    if (text !== undefined)
      parts.push(
        `${formatCount(text.tokens)} tokens in ${formatCount(text.documents)} documents (${formatBytes(text.bytes)}), ${formatDuration(text.seconds * 1000)}; intervals over ${text.unit}s`,
        ...renderMetrics(text.metrics),
      )
    if (minimalPairs !== undefined) {
      const { accuracy, fields, paradigms, pairs, seconds } = minimalPairs
      parts.push(
        `${formatCount(pairs)} minimal pairs in ${Object.keys(paradigms).length} paradigms, ${formatDuration(seconds * 1000)}; chance is 0.5`,
        ...renderMetrics({ accuracy, ...(Object.keys(fields).length > 0 ? fields : paradigms) }),
      )
    }
    return parts.join('\n')
  },
})
