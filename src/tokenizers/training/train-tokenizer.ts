// Trains a tokenizer from documents: counts words, learns the vocabulary, returns the files of the tokenizer folder, and
// measures how well the vocabulary fits text. Independent of corpus formats.
import { sha256 } from '../../core/index.ts'
import { Tokenizer } from '../tokenizer.ts'
import { startVocabulary } from './alphabet.ts'
import { countWords, type Documents, type WordCounts } from './count-words.ts'
import { addCounts, readCounts, writeCounts } from './counts-file.ts'
import { learnMerges } from './learn-merges.ts'
import { createWordReader } from './pre-tokenization.ts'
import { type TokenizerFiles, type TrainedVocabulary, tokenizerFiles } from './tokenizer-files.ts'
import { planTraining, type TokenizerTrainInput, type TrainingPlan } from './train-options.ts'
import { trainUnigram } from './unigram-trainer.ts'

/** Settings of `trainTokenizer` that do not change the result, and saved word counts. */
export interface TrainTokenizerSettings {
  /** Files of saved word counts, added to those of the documents. */
  fromCounts?: readonly string[]
  /** File to which all counts are written. */
  saveCounts?: string
  /** Number of counting threads (default: number of cores). The result does not depend on it. */
  workers?: number
  signal?: AbortSignal | undefined
  onProgress?: (stage: 'count' | 'learn', done: number) => void
}

/** Result of `trainTokenizer`. */
export interface TrainedTokenizer {
  /** Files of the tokenizer folder, for `writeTokenizerFolder`. */
  files: TokenizerFiles
  /** All options, defaults included. */
  plan: TrainingPlan
  vocabSize: number
  /** Documents trained on. */
  documents: number
  /** UTF-8 bytes trained on. */
  bytes: number
  words: { distinct: number; skippedLong: number; skippedRare: number }
  /** Measurements on the validation documents; undefined if there are none. */
  report: TokenizerReport | undefined
}

const MAX_REPORT_BYTES = 8 << 20

/**
 * Trains a tokenizer on `documents`. The same documents and options give the same bytes, for any number of threads.
 * Throws ConfigError for options that contradict each other.
 */
export const trainTokenizer = async (
  documents: Documents,
  input: TokenizerTrainInput,
  settings: TrainTokenizerSettings = {},
): Promise<TrainedTokenizer> => {
  const plan = planTraining(input)
  const { fromCounts = [], saveCounts, workers, signal, onProgress } = settings
  const validationTexts: string[] = []
  const counted = await countWords(splitValidation(documents, plan.validation, validationTexts), {
    preTokenization: plan.preTokenization,
    maxWordBytes: plan.maxWordBytes,
    maxWords: plan.maxWords,
    memoryBytes: plan.memoryBytes,
    workers,
    signal,
    onProgress: (bytes) => onProgress?.('count', bytes),
  })
  const saved: WordCounts[] = []
  for (const path of fromCounts) saved.push(await readCounts(path, plan.preTokenization))
  const counts = addCounts([counted, ...saved])
  if (saveCounts !== undefined) await writeCounts(saveCounts, counts, plan.preTokenization)
  signal?.throwIfAborted()
  const vocabulary = learnVocabulary(counts, plan, (tokens) => onProgress?.('learn', tokens))
  const files = tokenizerFiles(vocabulary, plan, createWordReader(plan.preTokenization).json)
  return {
    files,
    plan,
    vocabSize: vocabulary.type === 'unigram' ? vocabulary.pieces.length : vocabulary.tokens.length,
    documents: counts.documents,
    bytes: counts.bytes,
    words: { distinct: counts.words.size, skippedLong: counts.skippedLong, skippedRare: counts.skippedRare },
    report: validationTexts.length === 0 ? undefined : measure(files['tokenizer.json'], validationTexts, plan),
  }
}

const measure = (json: string, validationTexts: readonly string[], plan: TrainingPlan): TokenizerReport => {
  const tokenizer = new Tokenizer(JSON.parse(json))
  const { unk } = plan.specialTokens
  return measureTokenizer(validationTexts, {
    encode: (text) => tokenizer.encodeIds(text),
    vocabSize: tokenizer.vocabSize,
    unknownId: unk === undefined ? undefined : tokenizer.tokenToId(unk),
  })
}

/** Learns a vocabulary from word counts, which are not modified. */
const learnVocabulary = (
  counts: WordCounts,
  plan: TrainingPlan,
  onProgress?: (tokens: number) => void,
): TrainedVocabulary => {
  if (plan.type === 'unigram') {
    const pieces = trainUnigram(counts.words, {
      pieces: plan.vocabSize - plan.allSpecialTokens.length,
      maxPieceLength: Math.min(plan.maxTokenLength ?? 16, 250),
      seedSize: plan.seedSize ?? 1_000_000,
      shrinkingFactor: plan.shrinkingFactor ?? 0.75,
      subIterations: plan.subIterations ?? 2,
      limitAlphabet: plan.limitAlphabet,
      initialAlphabet: plan.initialAlphabet,
      onProgress,
    })
    const special = new Set(plan.allSpecialTokens)
    return {
      type: 'unigram',
      pieces: [
        ...plan.allSpecialTokens.map((token) => [token, 0] as const),
        ...pieces.filter(([piece]) => !special.has(piece)),
      ],
    }
  }
  const continuingPrefix = plan.type === 'wordpiece' ? '##' : ''
  const { list, words } = startVocabulary(counts.words, {
    byteLevel: createWordReader(plan.preTokenization).byteLevel,
    specialTokens: plan.allSpecialTokens,
    limitAlphabet: plan.limitAlphabet,
    initialAlphabet: plan.initialAlphabet,
    continuingPrefix,
  })
  const merges = learnMerges(words, list, {
    vocabSize: plan.vocabSize,
    minFrequency: plan.minFrequency ?? 2,
    maxTokenLength: plan.maxTokenLength ?? Number.POSITIVE_INFINITY,
    score: plan.mergeScore ?? 'frequency',
    continuingPrefix,
    onProgress,
  })
  return plan.type === 'bpe' ? { type: 'bpe', tokens: list.tokens, merges } : { type: 'wordpiece', tokens: list.tokens }
}

/** Yields the training documents, and collects the validation documents, chosen by the hash of their text. */
async function* splitValidation(
  documents: Documents,
  share: number,
  validation: string[],
): AsyncGenerator<string | Uint8Array> {
  let size = 0
  for await (const document of documents) {
    if (share > 0 && Number.parseInt(sha256(document).slice(0, 8), 16) < share * 2 ** 32) {
      if (size < MAX_REPORT_BYTES) {
        const text = typeof document === 'string' ? document : Buffer.from(document).toString('utf8')
        size += document.length
        validation.push(text)
      }
    } else yield document
  }
}

/** Measurements of a tokenizer on validation text. */
export interface TokenizerReport {
  documents: number
  /** UTF-8 bytes. */
  bytes: number
  /** Words separated by white space. */
  words: number
  tokens: number
  /** Tokens per word. */
  fertility: number
  bytesPerToken: number
  /** Share of unknown tokens, 0 to 1. */
  unknownRate: number
  /** Share of the vocabulary that occurs in the text, 0 to 1. */
  usedVocabulary: number
}

/** The part of a tokenizer that `measureTokenizer` needs. */
export interface ReportEncoder {
  /** Encodes text to ids without special tokens. */
  encode(text: string): ArrayLike<number>
  vocabSize: number
  unknownId?: number
}

/** Encodes documents and measures the result. */
export const measureTokenizer = (documents: Iterable<string>, encoder: ReportEncoder): TokenizerReport => {
  const used = new Set<number>()
  let count = 0
  let bytes = 0
  let words = 0
  let tokens = 0
  let unknown = 0
  for (const text of documents) {
    const ids = encoder.encode(text)
    count++
    bytes += Buffer.byteLength(text)
    words += text.match(/\S+/g)?.length ?? 0
    tokens += ids.length
    for (let i = 0; i < ids.length; i++) {
      used.add(ids[i])
      if (ids[i] === encoder.unknownId) unknown++
    }
  }
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
  return {
    documents: count,
    bytes,
    words,
    tokens,
    fertility: share(tokens, words),
    bytesPerToken: share(bytes, tokens),
    unknownRate: share(unknown, tokens),
    usedVocabulary: share(used.size, encoder.vocabSize),
  }
}
