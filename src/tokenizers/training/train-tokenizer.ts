// Trains a tokenizer from documents: counts words, learns the vocabulary, and gives the files of the tokenizer folder.
// It reads no corpus and encodes nothing.
import { sha256 } from '../../core/index.ts'
import { Tokenizer } from '../tokenizer.ts'
import { startVocabulary } from './alphabet.ts'
import { countWords, type Documents, type WordCounts } from './count-words.ts'
import { addCounts, readCounts, writeCounts } from './counts-file.ts'
import { learnMerges } from './learn-merges.ts'
import { createWordReader } from './pre-tokenization.ts'
import { type TokenizerFiles, tokenizerFiles, type Vocabulary } from './tokenizer-files.ts'
import { reportOn, type TokenizerReport } from './tokenizer-report.ts'
import { planTraining, type TokenizerTrainInput, type TrainingPlan } from './train-options.ts'
import { trainUnigram } from './unigram-trainer.ts'

export interface TrainTokenizerSettings {
  /** Files of word counts that are added to those of the documents. */
  fromCounts?: readonly string[]
  /** Where all counts together are written. */
  saveCounts?: string
  /** Threads that count; the default is the number of cores. The result does not depend on it. */
  workers?: number
  signal?: AbortSignal
  onProgress?: (stage: 'count' | 'learn', done: number) => void
}

export interface TrainedTokenizer {
  files: TokenizerFiles
  plan: TrainingPlan
  vocabSize: number
  documents: number
  bytes: number
  words: { distinct: number; skippedLong: number; skippedRare: number }
  /** How the vocabulary fits documents that were kept out of training; undefined when there were none. */
  report: TokenizerReport | undefined
}

const HELD_OUT_BYTES = 8 << 20

/** Trains on `documents`; the same documents and options give the same bytes, whatever the number of threads. */
export const trainTokenizer = async (
  documents: Documents,
  input: TokenizerTrainInput,
  settings: TrainTokenizerSettings = {},
): Promise<TrainedTokenizer> => {
  const plan = planTraining(input)
  const { fromCounts = [], saveCounts, workers, signal, onProgress } = settings
  const heldOut: string[] = []
  const counted = await countWords(holdOut(documents, plan.heldOut, heldOut), {
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
    report: heldOut.length === 0 ? undefined : measure(files['tokenizer.json'], heldOut, plan),
  }
}

const measure = (json: string, heldOut: readonly string[], plan: TrainingPlan): TokenizerReport => {
  const tokenizer = new Tokenizer(JSON.parse(json))
  const { unk } = plan.specialTokens
  return reportOn(heldOut, {
    encode: (text) => tokenizer.encodeIds(text),
    vocabSize: tokenizer.vocabSize,
    unknownId: unk === undefined ? undefined : tokenizer.tokenToId(unk),
  })
}

/** Learns the vocabulary that the plan asks for. Takes the counts as they are; it changes nothing in them. */
export const learnVocabulary = (
  counts: WordCounts,
  plan: TrainingPlan,
  onProgress?: (tokens: number) => void,
): Vocabulary => {
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

/** Lets documents through, but for a share chosen by the hash of their text. */
async function* holdOut(documents: Documents, share: number, kept: string[]): AsyncGenerator<string | Uint8Array> {
  let size = 0
  for await (const document of documents) {
    if (share > 0 && Number.parseInt(sha256(document).slice(0, 8), 16) < share * 2 ** 32) {
      if (size < HELD_OUT_BYTES) {
        const text = typeof document === 'string' ? document : Buffer.from(document).toString('utf8')
        size += document.length
        kept.push(text)
      }
    } else yield document
  }
}
