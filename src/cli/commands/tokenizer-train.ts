// `tunesmith tokenizer train`: trains a tokenizer and writes a folder that other libraries open. The work is `trainTokenizer`.
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, exists, formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { openTexts } from '../../corpus/index.ts'
import {
  type TokenizerReport,
  tokenizerTrainSchema,
  trainTokenizer,
  writeTokenizerFolder,
} from '../../tokenizers/index.ts'
import { defineCommand } from '../command.ts'
import { corpusField, filesArgument, switchField, textField, textsField, workersField } from '../parts/fields.ts'
import { labelledProgress } from '../parts/labelled-progress.ts'
import { wrapLine } from '../parts/text-lines.ts'

// Long files are split into pieces: short enough to set some aside for validation, long enough that few words are split.
const PIECE_BYTES = 1 << 20

export interface TokenizerTrainResult {
  out: string
  type: string
  vocabSize: number
  documents: number
  bytes: number
  distinctWords: number
  skippedLong: number
  skippedRare: number
  seconds: number
  report: TokenizerReport | null
}

const renderTraining = (result: TokenizerTrainResult): string => {
  const { report } = result
  const lines = [
    `${result.out}: ${result.type}, ${result.vocabSize} tokens, from ${formatBytes(result.bytes)} in ${formatCount(result.documents)} documents (${formatCount(result.distinctWords)} distinct words), ${formatDuration(result.seconds * 1000)}`,
  ]
  if (result.skippedLong > 0) lines.push(`skipped: ${formatCount(result.skippedLong)} words that are too long`)
  if (result.skippedRare > 0) lines.push(`skipped: ${formatCount(result.skippedRare)} distinct words that are too rare`)
  if (report === null) lines.push('no report: no validation documents (too few documents, or --validation 0)')
  else {
    const share = (value: number) => `${(value * 100).toFixed(2)} %`
    lines.push(
      `validation (${formatBytes(report.bytes)}): ${report.fertility.toFixed(3)} tokens per word, ${report.bytesPerToken.toFixed(2)} bytes per token, ` +
        `${share(report.unknownRate)} unknown, ${share(report.usedVocabulary)} of the vocabulary in use`,
    )
  }
  return lines.map(wrapLine).join('\n')
}

export const tokenizerTrain = defineCommand({
  name: 'tokenizer train',
  summary: 'Train a tokenizer on text and write a folder that transformers and transformers.js open',
  example: 'tunesmith tokenizer train --type wordpiece --vocab-size 30000 --corpus corpus --out tokenizer',
  arguments: [filesArgument],
  processes: 'first',
  options: tokenizerTrainSchema.extend({
    corpus: corpusField,
    out: z.string().describe('folder for the tokenizer'),
    overwrite: switchField('replace a tokenizer that is in the folder'),
    fromCounts: textsField('files of saved word counts to add to the text, or to train from alone'),
    saveCounts: textField('file for the word counts, gzipped when it ends in .gz'),
    workers: workersField,
  }),
  run: async (
    { corpus, out, overwrite, fromCounts, saveCounts, workers, ...options },
    { files },
    context,
  ): Promise<TokenizerTrainResult> => {
    const started = performance.now()
    if (!overwrite && (await exists(join(out, 'tokenizer.json'))))
      throw new ConfigError(
        `Expected a folder without a tokenizer for \`--out\`, found one in ${out}. Name another folder, or set \`--overwrite\`: models and shards that were made with it would no longer fit.`,
      )
    const { signal } = context
    const named = files ?? []
    const onlyCounts = fromCounts.length > 0 && corpus.length + named.length === 0
    const texts = onlyCounts
      ? undefined
      : await openTexts({ corpora: corpus, files: named }, { maxBytes: PIECE_BYTES, signal })
    const { onProgress, stop } = labelledProgress(context)
    try {
      const trained = await trainTokenizer(texts?.documents() ?? [], options, {
        fromCounts,
        saveCounts,
        workers,
        signal,
        onProgress: (stage, done) =>
          onProgress({
            ...(stage === 'count' ? { label: 'Counting words', unit: 'bytes' } : { label: 'Learning', unit: 'tokens' }),
            done,
          }),
      })
      await writeTokenizerFolder(out, trained.files)
      const { words } = trained
      return {
        out,
        type: trained.plan.type,
        vocabSize: trained.vocabSize,
        documents: trained.documents,
        bytes: trained.bytes,
        distinctWords: words.distinct,
        skippedLong: words.skippedLong,
        skippedRare: words.skippedRare,
        seconds: (performance.now() - started) / 1000,
        report: trained.report ?? null,
      }
    } finally {
      stop()
    }
  },
  render: renderTraining,
})
