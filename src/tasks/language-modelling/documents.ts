// The documents of an evaluation, from texts or token shards, and the pieces that they are scored in: sliding windows for causal
// models, masked blocks and single masked tokens for masked models.
import { permutedIndex, type Random } from '../../core/index.ts'
import type { TokenSource } from '../../data/index.ts'
import { objectives, type VocabularyFacts } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import type { Piece } from './scoring.ts'

export interface EvaluatedDocument {
  /** Ids of the text, without special tokens at its ends. */
  ids: Uint32Array
  /** UTF-8 bytes of the text. */
  bytes: number
}

/** Text to evaluate on: token shards, or texts. */
export type LanguageSource = TokenSource | AsyncIterable<string> | Iterable<string>

export const isTokenSource = (source: LanguageSource): source is TokenSource =>
  typeof (source as Partial<TokenSource>).readTokens === 'function'

/** Special tokens that are not scored. The unknown token stands for text and is scored. */
export const unscoredIds = ({ specialIds }: VocabularyFacts, tokenizer: Tokenizer): ReadonlySet<number> => {
  const unknown = tokenizer.special.unk?.id
  return new Set([...specialIds].filter((id) => id !== unknown))
}

/** The documents in the order of the source, or, with a seed, in a random order where the source has random access. */
export async function* documentsOf(
  source: LanguageSource,
  tokenizer: Tokenizer,
  silent: ReadonlySet<number>,
  seed?: number | string,
): AsyncGenerator<EvaluatedDocument, void, undefined> {
  if (!isTokenSource(source)) {
    for await (const text of source) {
      const ids = withoutEdges(Uint32Array.from(tokenizer.encodeIds(text)), silent)
      if (ids.length > 0) yield { ids, bytes: Buffer.byteLength(text) }
    }
    return
  }
  for (let i = 0; i < source.documents; i++) {
    const document = seed === undefined ? i : permutedIndex(`documents/${seed}`, source.documents, i)
    const start = source.documentStart(document)
    const ids = withoutEdges(Uint32Array.from(source.readTokens(start, source.documentEnd(document) - start)), silent)
    if (ids.length > 0) yield { ids, bytes: byteLength(tokenizer, ids) }
  }
}

export const byteLength = (tokenizer: Tokenizer, ids: ArrayLike<number>): number =>
  Buffer.byteLength(tokenizer.decode(ids, { skipSpecialTokens: false }))

const withoutEdges = (ids: Uint32Array, silent: ReadonlySet<number>): Uint32Array => {
  let [start, end] = [0, ids.length]
  while (start < end && silent.has(ids[start])) start++
  while (end > start && silent.has(ids[end - 1])) end--
  return ids.subarray(start, end)
}

/** A piece of a document; `tokens` of its tokens are in no earlier piece. */
export interface TextPiece extends Piece {
  tokens: number
}

export interface WindowOptions {
  maxLength: number
  /** Tokens that each window but the first scores; the others are context. */
  stride: number
  /** Token in front of the document, so that its first token is scored too. */
  startId: number | undefined
  silent: ReadonlySet<number>
}

/** Sliding windows over one document: each token is scored once. */
export function* causalPieces(document: Uint32Array, options: WindowOptions): Generator<TextPiece, void, undefined> {
  const { maxLength, stride, startId, silent } = options
  const ids = startId === undefined ? document : prefixed(startId, document)
  for (let first = 1; first < ids.length; ) {
    const end = Math.min(ids.length, first === 1 ? maxLength + 1 : first + stride)
    const begin = Math.max(0, end - 1 - maxLength)
    const places: number[] = []
    const labels: number[] = []
    for (let target = first; target < end; target++) {
      if (silent.has(ids[target])) continue
      places.push(target - 1 - begin)
      labels.push(ids[target])
    }
    if (labels.length > 0) yield { ids: ids.subarray(begin, end - 1), places, labels, tokens: end - first }
    first = end
  }
}

const prefixed = (startId: number, document: Uint32Array): Uint32Array => {
  const ids = new Uint32Array(document.length + 1)
  ids[0] = startId
  ids.set(document, 1)
  return ids
}

/** Blocks of one document with masked tokens, as in training but with masks that depend on the seed only. */
export const createMaskedPieces = (
  vocabulary: VocabularyFacts,
  maxLength: number,
  masking: { maskShare?: number; replaceWithMask?: number; replaceWithRandom?: number },
): ((document: Uint32Array, random: Random) => Generator<TextPiece, void, undefined>) => {
  const { config, create } = objectives['masked-lm']
  const objective = create(config.parse(masking), { vocabulary, maxLength })
  return function* (document, random) {
    for (const block of blocksOf(document, objective.rows.length)) {
      const row = { ids: block, starts: [0], part: 0, endsDocument: true }
      const example = objective.example(row, random, () => row) as {
        ids: Uint32Array
        positions: Uint32Array
        originals: Int32Array
      }
      if (example.originals.length > 0)
        yield { ids: example.ids, places: example.positions, labels: example.originals, tokens: block.length }
    }
  }
}

/** A copy of the text for each token with this token masked. @source Salazar et al. 2020, arXiv:1910.14659 */
export function* pseudoPieces(
  document: Uint32Array,
  { cls, sep, mask }: VocabularyFacts,
  maxLength: number,
  silent: ReadonlySet<number>,
): Generator<TextPiece, void, undefined> {
  const open = cls === undefined ? [] : [cls]
  const close = sep === undefined ? [] : [sep]
  for (const block of blocksOf(document, maxLength - open.length - close.length)) {
    for (let i = 0; i < block.length; i++) {
      if (silent.has(block[i])) continue
      const ids = Uint32Array.of(...open, ...block, ...close)
      ids[open.length + i] = mask!
      yield { ids, places: [open.length + i], labels: [block[i]], tokens: 1 }
    }
  }
}

/** Blocks of nearly equal length, so that none has only a few tokens of context. */
function* blocksOf(document: Uint32Array, most: number): Generator<Uint32Array, void, undefined> {
  const count = Math.ceil(document.length / most)
  for (let i = 0; i < count; i++) {
    yield document.subarray(Math.floor((i * document.length) / count), Math.floor(((i + 1) * document.length) / count))
  }
}
