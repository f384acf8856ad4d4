// `evaluate --task language-modelling`: how well a model knows a text, and whether it tells good sentences from bad ones.
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, DataError, exists, formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { readCorpus } from '../../corpus/index.ts'
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
import type { CommandContext } from '../command.ts'
import { openLanguageModel } from '../parts/open-model.ts'
import { openTexts } from '../parts/text-documents.ts'
import { defineEvaluation } from './task.ts'

export interface LanguageModellingReport {
  text?: LanguageModellingResult
  minimalPairs?: MinimalPairsResult
}

const documentBytes = 8 << 20

/** Shards, corpora or text files, told apart by the manifest in the folder. */
const openSource = async (
  paths: readonly string[],
  split: 'train' | 'validation',
  signal: AbortSignal,
): Promise<{ source: LanguageSource; close(): void }> => {
  const kinds = await Promise.all(
    paths.map(async (path) => {
      if (await exists(join(path, 'corpus.json'))) return 'corpus'
      return (await exists(join(path, 'manifest.json'))) ? 'shards' : 'files'
    }),
  )
  if (!kinds.includes('shards')) {
    const of = (kind: string) => paths.filter((_, i) => kinds[i] === kind)
    const [corpora, files] = [of('corpus'), of('files')]
    const texts =
      files.length === 0 ? undefined : await openTexts({ corpora: [], files }, { maxBytes: documentBytes, signal })
    async function* documents(): AsyncGenerator<string> {
      for (const corpus of corpora) for await (const { text } of readCorpus(corpus, { signal })) yield text
      if (texts !== undefined) yield* texts.documents()
    }
    return { source: documents(), close() {} }
  }
  if (paths.length > 1)
    throw new ConfigError(
      `Expected one folder of shards for \`--data\`, got ${paths.length} paths. Evaluate them one by one.`,
    )
  const source = await openTokens(paths[0], split)
  if (source.tokens === 0) {
    source.close()
    throw new DataError(`Expected tokens in the ${split} split, got none. Choose the other one with --split.`, paths[0])
  }
  return { source, close: () => source.close() }
}

const evaluateText = async (
  ready: Awaited<ReturnType<typeof openLanguageModel>>,
  data: readonly string[],
  { split, ...settings }: { split: 'train' | 'validation' } & z.output<typeof languageModellingSchema>,
  context: CommandContext,
) => {
  const { source, close } = await openSource(data, split, context.signal)
  let progress: ReturnType<CommandContext['progress']> | undefined
  try {
    return await evaluateLanguageModelling(ready.model, ready.tokenizer, source, settings, {
      signal: context.signal,
      onProgress({ tokens, totalTokens }) {
        progress ??= context.progress({ label: 'evaluating', unit: 'tokens', total: totalTokens })
        progress.update(tokens)
      },
    })
  } finally {
    progress?.stop()
    close()
  }
}

const evaluatePairs = async (
  ready: Awaited<ReturnType<typeof openLanguageModel>>,
  paths: readonly string[],
  {
    maxPairs,
    batchTokens,
    seed,
    resamples,
    confidence,
  }: { maxPairs?: number } & z.output<typeof languageModellingSchema>,
  context: CommandContext,
) => {
  let progress: ReturnType<CommandContext['progress']> | undefined
  try {
    return await evaluateMinimalPairs(
      ready.model,
      ready.tokenizer,
      paths,
      { maxPairs, batchTokens, seed, resamples, confidence },
      {
        signal: context.signal,
        onProgress({ pairs, totalPairs }) {
          progress ??= context.progress({ label: 'minimal pairs', unit: 'pairs', total: totalPairs })
          progress.update(pairs)
        },
      },
    )
  } finally {
    progress?.stop()
  }
}

export const renderInterval = ({ value, low, high }: Interval): string =>
  `${value.toPrecision(4)}  [${low.toPrecision(4)}, ${high.toPrecision(4)}]`

const rowsOf = (metrics: Record<string, Interval>): string[] => {
  const width = Math.max(...Object.keys(metrics).map((name) => name.length))
  return Object.entries(metrics).map(([name, interval]) => `  ${name.padEnd(width)}  ${renderInterval(interval)}`)
}

export const languageModelling = defineEvaluation({
  type: 'language-modelling',
  options: languageModellingSchema.extend({
    split: z
      .enum(['train', 'validation'])
      .default('validation')
      .describe('of token shards: the part that was held out, or what was trained on'),
    blimp: z
      .array(z.string())
      .default([])
      .describe('minimal pairs as BLiMP has them: .jsonl files, folders or .tar.gz archives of these'),
    maxPairs: z.int().positive().optional().describe('minimal pairs of each paradigm; all unless given'),
  }),
  async run({ data, ...choice }, { blimp, maxPairs, split, ...settings }, context): Promise<LanguageModellingReport> {
    if (data.length + blimp.length === 0)
      throw new ConfigError('Expected --data or --blimp for `evaluate`, got neither. Say what to evaluate on.')
    const ready = await openLanguageModel(choice, context)
    return {
      ...(data.length > 0 ? { text: await evaluateText(ready, data, { split, ...settings }, context) } : {}),
      ...(blimp.length > 0
        ? { minimalPairs: await evaluatePairs(ready, blimp, { maxPairs, ...settings }, context) }
        : {}),
    }
  },
  render: ({ text, minimalPairs }) => {
    const parts: string[] = []
    if (text !== undefined)
      parts.push(
        `${formatCount(text.tokens)} tokens of ${formatCount(text.documents)} documents (${formatBytes(text.bytes)}), ${formatDuration(text.seconds * 1000)}; intervals over ${text.unit}s`,
        ...rowsOf(text.metrics),
      )
    if (minimalPairs !== undefined) {
      const { accuracy, fields, paradigms, pairs, seconds } = minimalPairs
      parts.push(
        `${formatCount(pairs)} minimal pairs of ${Object.keys(paradigms).length} paradigms, ${formatDuration(seconds * 1000)}; chance is 0.5`,
        ...rowsOf({ accuracy, ...(Object.keys(fields).length > 0 ? fields : paradigms) }),
      )
    }
    return parts.join('\n')
  },
})
