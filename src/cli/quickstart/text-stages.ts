// The first stages of the quickstart: raw text to corpus, tokenizer and shards, by the commands that users run. What was finished
// before is not done again.
import { parseConfig } from '../../core/index.ts'
import { loadTokenizer } from '../../tokenizers/index.ts'
import type { CommandContext } from '../command.ts'
import { corpusBuild } from '../commands/corpus-build.ts'
import { tokenizerEncode } from '../commands/tokenizer-encode.ts'
import { tokenizerTrain } from '../commands/tokenizer-train.ts'
import { corpusSources, vocabSize } from './plan.ts'
import type { StoryProgress } from './story-progress.ts'

export interface TextFolders {
  corpus: string
  tokenizer: string
  shards: string
}

export interface TextResult {
  corpus: {
    read: number
    dropped: number
    documents: number
    /** UTF-8 bytes. */
    bytes: number
    sources: { name: string; documents: number; characters: number }[]
  }
  tokenizer: { vocabSize: number; distinctWords: number }
  shards: { train: { tokens: number; documents: number }; validation: { tokens: number; documents: number } }
  sample: string
  /** The tokens of the sample. */
  pieces: string[]
}

/** Shown as its tokens. */
const sample = 'The unexpected journey began in the railway station.'

export const buildText = async (
  data: string,
  { corpus, tokenizer, shards }: TextFolders,
  progress: StoryProgress,
  context: CommandContext,
): Promise<TextResult> => {
  progress.next()
  const sources = { out: corpus, ...corpusSources(data) }
  const { manifest, report, unchanged } = await corpusBuild.run(
    parseConfig(corpusBuild.options, sources, 'corpus build'),
    {},
    context,
  )
  progress.finish({ skipped: unchanged })
  progress.next()
  // Case is kept: it tells names from other words.
  const training = { type: 'wordpiece', vocabSize, lowercase: false, corpus: [corpus], out: tokenizer, overwrite: true }
  const trained = await tokenizerTrain.run(
    parseConfig(tokenizerTrain.options, training, 'tokenizer train'),
    { files: [] },
    context,
  )
  progress.finish({ skipped: unchanged })
  progress.next()
  const encoding = { tokenizer, corpus: [corpus], out: shards, validation: 0.03 }
  const { train, validation } = await tokenizerEncode.run(
    parseConfig(tokenizerEncode.options, encoding, 'tokenizer encode'),
    { files: [] },
    context,
  )
  progress.finish({ skipped: unchanged })
  const loaded = await loadTokenizer(tokenizer)
  const dropped = manifest.stages.flatMap((stage) => Object.values(stage.dropped)).reduce((sum, n) => sum + n, 0)
  return {
    corpus: {
      read: manifest.stages[0].documentsIn,
      dropped,
      documents: manifest.documents,
      bytes: manifest.textBytes,
      sources: Object.entries(report.statistics.kinds).map(([name, counts]) => ({ name, ...counts })),
    },
    tokenizer: { vocabSize: trained.vocabSize, distinctWords: trained.distinctWords },
    shards: {
      train: { tokens: train.tokens, documents: train.documents },
      validation: { tokens: validation.tokens, documents: validation.documents },
    },
    sample,
    pieces: [...loaded.encode(sample, { addSpecialTokens: false }).ids].map((id) => loaded.idToToken(id) ?? '?'),
  }
}
