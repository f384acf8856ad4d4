// `tunesmith tokenizer encode`: encodes documents into token shards for training. The work is `encodeShards` of src/data.
import { z } from 'zod'
import { formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { openTexts } from '../../corpus/index.ts'
import { encodeShards, encodeShardsSchema, type ShardManifest, splitWarnings } from '../../data/index.ts'
import { defineCommand } from '../command.ts'
import { corpusField, filesArgument, workersField } from '../parts/fields.ts'
import { wrapLine } from '../parts/text-lines.ts'

// A book stays one document; only much longer files are split.
const DOCUMENT_BYTES = 8 << 20

interface SplitSummary {
  tokens: number
  documents: number
  bytes: number
  shards: number
}

export interface TokenizerEncodeResult {
  out: string
  dtype: ShardManifest['dtype']
  seconds: number
  train: SplitSummary
  validation: SplitSummary
  /** Warnings about the validation split. */
  warnings: string[]
}

export const tokenizerEncode = defineCommand({
  name: 'tokenizer encode',
  summary: 'Encode a corpus into shards of token ids with document boundaries; resumable',
  example: 'tunesmith tokenizer encode --tokenizer tokenizer --corpus corpus --out shards',
  arguments: [filesArgument],
  processes: 'first',
  options: encodeShardsSchema.extend({
    tokenizer: z.string().describe('tokenizer folder or file'),
    corpus: corpusField,
    out: z.string().describe('folder for the shards'),
    workers: workersField,
  }),
  run: async ({ tokenizer, corpus, out, workers, ...options }, { files }, context): Promise<TokenizerEncodeResult> => {
    const started = performance.now()
    const { signal } = context
    const texts = await openTexts({ corpora: corpus, files: files ?? [] }, { maxBytes: DOCUMENT_BYTES, signal })
    const progress = context.progress({ label: 'Encoding', unit: 'bytes' })
    try {
      const manifest = await encodeShards(texts.documents(), tokenizer, out, options, {
        workers,
        signal,
        source: texts.description,
        onProgress: ({ bytes, tokens }) => progress.update(bytes, { tokens: formatCount(tokens) }),
      })
      const summary = ({ shards, ...counts }: ShardManifest['splits']['train']) => ({
        ...counts,
        shards: shards.length,
      })
      return {
        out,
        dtype: manifest.dtype,
        seconds: (performance.now() - started) / 1000,
        train: summary(manifest.splits.train),
        validation: summary(manifest.splits.validation),
        warnings: splitWarnings(manifest),
      }
    } finally {
      progress.stop()
    }
  },
  render: (result) =>
    [
      `${result.out}: ${result.dtype}, ${formatDuration(result.seconds * 1000)}`,
      ...(['train', 'validation'] as const).map((name) => {
        const { tokens, documents, bytes, shards } = result[name]
        const ratio = tokens === 0 ? '-' : (bytes / tokens).toFixed(2)
        return `${name}: ${formatCount(tokens)} tokens in ${formatCount(documents)} ${documents === 1 ? 'document' : 'documents'}, ${shards} ${shards === 1 ? 'shard' : 'shards'}, ${formatBytes(bytes)} of text, ${ratio} bytes per token`
      }),
      ...result.warnings,
    ]
      .map(wrapLine)
      .join('\n'),
})
