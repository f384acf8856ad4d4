// Evaluation of language models on text: perplexity, bits per byte and accuracy of causal models, masked accuracy and
// pseudo-perplexity of masked models, with confidence intervals. The text is streamed; only sums are in memory.

import { createRandom, DataError, withoutUndefined } from '../../core/index.ts'
import { type VocabularyFacts, vocabularyFacts } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type BootstrapOptions, bootstrapRatio, type Interval } from '../metrics/bootstrap.ts'
import type { WorkHooks } from '../task.ts'
import {
  byteLength,
  causalPieces,
  createMaskedPieces,
  documentsOf,
  type EvaluatedDocument,
  isTokenSource,
  type LanguageSource,
  pseudoPieces,
  type TextPiece,
  unscoredIds,
} from './documents.ts'
import { type ScoredModel, scorePieces } from './scoring.ts'
import { type CheckedSettings, checkSettings, type LanguageModellingSettings } from './settings.ts'

/** Progress and cancellation of an evaluation. */
export interface EvaluationHooks extends WorkHooks {
  /** Called after each batch. `totalTokens` is known for token shards. */
  onProgress?: (progress: { tokens: number; totalTokens: number | undefined }) => void
}

/** Metrics of a language model on a text. */
export interface LanguageModellingResult {
  /** By name: `loss` in nats per token, `perplexity`, `bitsPerByte`, `accuracy`; `masked…` and `pseudo…` for masked models. */
  metrics: Record<string, Interval>
  /** Tokens of the text; masked models predict a share of them. */
  tokens: number
  documents: number
  /** UTF-8 bytes of the text. */
  bytes: number
  /** The bootstrap's unit: documents, or blocks for fewer than 30 documents. */
  unit: 'document' | 'block'
  seconds: number
}

interface PlacedPiece extends TextPiece {
  document: number
}

/**
 * Evaluates a model on texts or token shards. The same arguments give the same numbers.
 * @throws ConfigError for settings that do not fit the model, DataError for a source without text
 */
export const evaluateLanguageModelling = async (
  model: ScoredModel,
  tokenizer: Tokenizer,
  source: LanguageSource,
  settings: LanguageModellingSettings = {},
  hooks: EvaluationHooks = {},
): Promise<LanguageModellingResult> => {
  const checked = checkSettings(settings, model.facts, tokenizer)
  const started = performance.now()
  const vocabulary = vocabularyFacts(tokenizer)
  const context: Context = {
    model,
    tokenizer,
    source,
    settings: checked,
    hooks,
    vocabulary,
    silent: unscoredIds(vocabulary, tokenizer),
    intervals: { seed: checked.seed, resamples: checked.resamples, confidence: checked.confidence },
  }
  const result = await (model.facts.causal ? evaluateCausal(context) : evaluateMasked(context))
  if (result.tokens === 0) throw new DataError('Expected text to evaluate on, got an empty source. Check the path.')
  return { ...result, seconds: (performance.now() - started) / 1000 }
}

interface Context {
  model: ScoredModel
  tokenizer: Tokenizer
  source: LanguageSource
  settings: CheckedSettings
  hooks: EvaluationHooks
  vocabulary: VocabularyFacts
  silent: ReadonlySet<number>
  intervals: BootstrapOptions
}

type Result = Omit<LanguageModellingResult, 'seconds'>

const evaluateCausal = async (context: Context): Promise<Result> => {
  const { tokenizer, settings, vocabulary, silent, intervals } = context
  const { maxLength, stride = Math.ceil(maxLength / 2), startToken = true } = settings
  const startId = startToken ? (vocabulary.bos ?? vocabulary.eos) : undefined
  // Without a start token the first token is not predicted, so its bytes do not count either.
  const unscored = ({ ids }: EvaluatedDocument) =>
    startId === undefined ? byteLength(tokenizer, ids.subarray(0, 1)) : 0
  const sums = await score(context, settings.maxTokens, {
    piecesOf: ({ ids }) => causalPieces(ids, { maxLength, stride, startId, silent }),
    bytesOf: (document) => document.bytes - unscored(document),
  })
  const { unit, nats, labels, correct, bytes } = sums.units()
  const loss = bootstrapRatio(nats, labels, intervals)
  return {
    ...sums.facts(),
    unit,
    metrics: {
      loss,
      perplexity: mapped(loss, Math.exp),
      bitsPerByte: mapped(bootstrapRatio(nats, bytes, intervals), (value) => value / Math.LN2),
      accuracy: bootstrapRatio(correct, labels, intervals),
    },
  }
}

const evaluateMasked = async (context: Context): Promise<Result> => {
  const { settings, vocabulary, silent, intervals } = context
  const { maxLength, seed, pseudoTokens = 0, maskShare, replaceWithMask, replaceWithRandom } = settings
  const random = createRandom(seed)
  const mask = createMaskedPieces(
    vocabulary,
    maxLength,
    withoutUndefined({ maskShare, replaceWithMask, replaceWithRandom }),
  )
  const sums = await score(context, settings.maxTokens, {
    piecesOf: ({ ids }, i) => mask(ids, random.fork(`masks/${i}`)),
  })
  const { unit, nats, labels, correct } = sums.units()
  const loss = bootstrapRatio(nats, labels, intervals)
  const metrics: Record<string, Interval> = {
    maskedLoss: loss,
    maskedPerplexity: mapped(loss, Math.exp),
    maskedAccuracy: bootstrapRatio(correct, labels, intervals),
  }
  if (pseudoTokens > 0) {
    const pseudo = await score(context, pseudoTokens, {
      piecesOf: ({ ids }) => pseudoPieces(ids, vocabulary, maxLength, silent),
    })
    const units = pseudo.units()
    metrics.pseudoPerplexity = mapped(bootstrapRatio(units.nats, units.labels, intervals), Math.exp)
  }
  return { ...sums.facts(), unit, metrics }
}

interface Scoring {
  piecesOf: (document: EvaluatedDocument, index: number) => Iterable<TextPiece>
  /** Bytes of the tokens that are scored (default: all). */
  bytesOf?: (document: EvaluatedDocument) => number
}

/** Scores the pieces of all documents up to `limit` tokens; the last document is truncated there. */
const score = async (
  { model, tokenizer, source, settings, hooks, silent }: Context,
  limit: number | undefined,
  { piecesOf, bytesOf = ({ bytes }) => bytes }: Scoring,
): Promise<EvaluationSums> => {
  const sums = new EvaluationSums()
  const limited = limit ?? Number.POSITIVE_INFINITY
  async function* pieces(): AsyncGenerator<PlacedPiece> {
    let index = 0
    for await (const whole of documentsOf(source, tokenizer, silent, limit === undefined ? undefined : settings.seed)) {
      const remaining = limited - sums.tokens
      if (remaining <= 0) return
      const document = whole.ids.length <= remaining ? { ...whole } : truncated(whole, remaining, tokenizer)
      sums.addDocument(document.ids.length, bytesOf(document))
      for (const piece of piecesOf(document, index)) yield { ...piece, document: index }
      index += 1
    }
  }
  const sourceTokens = isTokenSource(source) ? source.tokens : undefined
  const totalTokens = limit === undefined ? sourceTokens : Math.min(limit, sourceTokens ?? limit)
  let done = 0
  for await (const [piece, { logProbability, correct }] of scorePieces(model, pieces(), {
    batchTokens: settings.batchTokens,
    signal: hooks.signal,
    group: hooks.group,
  })) {
    sums.addPiece(piece.document, -logProbability, piece.labels.length, correct)
    done += piece.tokens
    hooks.onProgress?.({ tokens: done, totalTokens })
  }
  // The bytes of the whole source do not apply to a part of it.
  if (settings.bytes !== undefined && limit === undefined) sums.scaleBytes(settings.bytes)
  return sums
}

const truncated = ({ ids }: EvaluatedDocument, tokens: number, tokenizer: Tokenizer): EvaluatedDocument => {
  const kept = ids.subarray(0, tokens)
  return { ids: kept, bytes: byteLength(tokenizer, kept) }
}

const mapped = ({ value, low, high }: Interval, map: (value: number) => number): Interval => ({
  value: map(value),
  low: map(low),
  high: map(high),
})

/** With fewer documents than this, the bootstrap resamples blocks. */
const fewDocuments = 30

interface SummedUnits {
  unit: 'document' | 'block'
  nats: number[]
  labels: number[]
  correct: number[]
  bytes: number[]
}

class EvaluationSums {
  tokens = 0
  bytes = 0
  readonly #documentBytes: number[] = []
  readonly #documentLabels: number[] = []
  readonly #pieces = { document: [] as number[], nats: [] as number[], labels: [] as number[], correct: [] as number[] }

  addDocument(tokens: number, bytes: number): void {
    this.tokens += tokens
    this.bytes += bytes
    this.#documentBytes.push(bytes)
    this.#documentLabels.push(0)
  }

  /** @param document index in the order of `addDocument` */
  addPiece(document: number, nats: number, labels: number, correct: number): void {
    this.#documentLabels[document] += labels
    this.#pieces.document.push(document)
    this.#pieces.nats.push(nats)
    this.#pieces.labels.push(labels)
    this.#pieces.correct.push(correct)
  }

  /** Scales the documents' bytes to a known total. */
  scaleBytes(total: number): void {
    const factor = total / this.bytes
    for (let i = 0; i < this.#documentBytes.length; i++) this.#documentBytes[i] *= factor
    this.bytes = total
  }

  facts(): { tokens: number; documents: number; bytes: number } {
    return { tokens: this.tokens, documents: this.#documentBytes.length, bytes: this.bytes }
  }

  /** Independent units for the bootstrap: documents, or blocks with their share of the document's bytes. */
  units(): SummedUnits {
    const { document, nats, labels, correct } = this.#pieces
    const bytesOf = (piece: number) =>
      (this.#documentBytes[document[piece]] * labels[piece]) / this.#documentLabels[document[piece]]
    if (this.#documentBytes.length < fewDocuments)
      return { unit: 'block', nats, labels, correct, bytes: document.map((_, piece) => bytesOf(piece)) }
    const zeros = () => new Array<number>(this.#documentBytes.length).fill(0)
    const sums = { nats: zeros(), labels: zeros(), correct: zeros() }
    document.forEach((owner, piece) => {
      sums.nats[owner] += nats[piece]
      sums.labels[owner] += labels[piece]
      sums.correct[owner] += correct[piece]
    })
    return { unit: 'document', ...sums, bytes: [...this.#documentBytes] }
  }
}
