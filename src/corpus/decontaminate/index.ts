// Decontamination: finds texts of test sets in documents, and cuts them out or drops the document, as for GPT-3. In two
// rounds: the first counts the documents with each overlap (GramCounter), the second decides.

import { parseConfig } from '../../core/index.ts'
import type { GramIndex, GramOrigin } from './gram-index.ts'
import { type DecontaminationOptions, decontaminationOptions } from './test-sets.ts'

export { GramCounter, GramIndex, type TestSetFacts } from './gram-index.ts'
export {
  type DecontaminationOptions,
  decontaminationOptions,
  readTestSet,
  type TestSet,
  type TestSetOptions,
  testSetOptions,
} from './test-sets.ts'

/** One overlap of a document with a test set. */
interface Overlap extends GramOrigin {
  /** Position in the document, in UTF-16 units. */
  readonly start: number
  readonly end: number
  /** The start of the overlap in the document. */
  readonly excerpt: string
}

export type DecontaminationResult =
  | { readonly action: 'keep' }
  /** `pieces` are the remaining texts; each becomes a document. */
  | { readonly action: 'cut'; readonly pieces: readonly string[]; readonly overlaps: readonly Overlap[] }
  | { readonly action: 'drop'; readonly reason: DropReason; readonly overlaps: readonly Overlap[] }

export const dropReasons = ['overlap', 'too-many-pieces', 'nothing-left'] as const
type DropReason = (typeof dropReasons)[number]

/** Maximum overlaps of one document in reports; the decision considers all. */
const maxReported = 100

/**
 * A function that decides about one document: pure, by text, index, options and `common` (the n-grams to ignore, from
 * `GramCounter.common`). `commonHere` replaces `common` for one text.
 * @source arXiv:2005.14165 appendix C
 */
export const createDecontaminator = (
  index: GramIndex,
  options: DecontaminationOptions = {},
  common: ReadonlySet<number> = new Set(),
): ((text: string, commonHere?: ReadonlySet<number>) => DecontaminationResult) => {
  const settings = parseConfig(decontaminationOptions, options, 'decontaminate')
  return (text, commonHere = common) => {
    const spans: [start: number, end: number][] = []
    const overlaps: Overlap[] = []
    const named = new Set<string>()
    const hits: { gram: number; firstWord: number; lastWord: number }[] = []
    const { starts, ends } = index.scan(text, (hit) => {
      if (!commonHere.has(hit.gram)) hits.push(hit)
    })
    for (const { gram, firstWord, lastWord } of hits) {
      const start = starts[firstWord]
      const end = ends[lastWord]
      const last = spans[spans.length - 1]
      if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end)
      else spans.push([start, end])
      const origin = index.origin(gram)
      const name = `${origin.testSet}\n${origin.item}\n${origin.field}`
      if (named.has(name) || overlaps.length >= maxReported) continue
      named.add(name)
      overlaps.push({ ...origin, start, end, excerpt: text.slice(start, Math.min(end, start + 160)) })
    }
    if (spans.length === 0) return { action: 'keep' }
    if (settings.policy === 'drop') return { action: 'drop', reason: 'overlap', overlaps }
    const pieces = cutAround(text, spans, settings.window)
    if (pieces.length > settings.maxPieces) return { action: 'drop', reason: 'too-many-pieces', overlaps }
    const left = pieces
      .map((piece) => piece.trim())
      .filter((piece) => piece !== '' && piece.length >= settings.minPiece)
    return left.length === 0
      ? { action: 'drop', reason: 'nothing-left', overlaps }
      : { action: 'cut', pieces: left, overlaps }
  }
}

/** The text around ascending `spans`, which are widened by `window` characters and to the next white space. */
const cutAround = (text: string, spans: readonly (readonly [number, number])[], window: number): string[] => {
  const pieces: string[] = []
  let from = 0
  for (const [start, end] of spans) {
    const cutStart = widen(text, start - window, -1)
    if (cutStart > from) pieces.push(text.slice(from, cutStart))
    from = Math.max(from, widen(text, end + window, 1))
  }
  if (from < text.length) pieces.push(text.slice(from))
  return pieces
}

/** Maximum characters to the next white space. */
const maxWiden = 50

const widen = (text: string, place: number, step: 1 | -1): number => {
  if (place <= 0) return 0
  if (place >= text.length) return text.length
  for (let at = place, moved = 0; moved < maxWiden && at > 0 && at < text.length; at += step, moved++) {
    if (/\s/.test(text[step === 1 ? at : at - 1])) return at
  }
  // Without white space nearby, only surrogate pairs are kept whole.
  const unit = text.charCodeAt(place)
  return unit >= 0xdc00 && unit < 0xe000 ? place + step : place
}
