// The interface of pre-tokenizers, and the split of a piece at the matches of a pattern.
import type { Piece, Span } from '../text.ts'
import type { Scanner } from './scanner.ts'

/** Splits text into words before the model encodes each word. */
export interface PreTokenizer {
  /** Splits pieces further and may edit them. The caller drops empty pieces. */
  split<P extends Piece>(pieces: readonly P[]): P[]
  /** For a pre-tokenizer that only splits: finds the split points without creating pieces. */
  readonly scanner?: () => Scanner
  /** Applied to the text of each word that the scanner finds. */
  readonly finish?: (text: string) => string
  /** Prepended to a segment that does not start with it. */
  readonly prefix?: string
  /** As for a normalizer; '' if the pre-tokenizer always splits there. */
  safeSplitBefore?(lead: string): string | undefined
  /** True if a piece at the start of the original text is treated differently. */
  readonly dependsOnStart?: boolean
  /** True if ASCII punctuation is always a word of its own and ASCII white space splits and is removed. */
  readonly isolatesAscii?: boolean
}

/** What a split does with the matches of its pattern. */
export const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const
/** What a split does with the matches of its pattern. */
export type Behavior = (typeof BEHAVIORS)[number]

interface Segment {
  start: number
  end: number
  match: boolean
}

/** Covers a text of `length` units by the matches and the segments between them. */
const coverText = (length: number, matches: readonly Span[], invert: boolean): Segment[] => {
  const segments: Segment[] = []
  let done = 0
  for (const [start, end] of matches) {
    if (done < start) segments.push({ start: done, end: start, match: invert })
    segments.push({ start, end, match: !invert })
    done = end
  }
  if (done < length) segments.push({ start: done, end: length, match: invert })
  return segments
}

/** Merges each segment for which `joins` is true into the segment before it. */
const mergeSegments = (segments: Segment[], joins: (now: Segment, beforeWasMatch: boolean) => boolean): Segment[] => {
  const result: Segment[] = []
  let beforeWasMatch = false
  for (const segment of segments) {
    const last = result.at(-1)
    if (last !== undefined && joins(segment, beforeWasMatch)) {
      last.start = Math.min(last.start, segment.start)
      last.end = Math.max(last.end, segment.end)
    } else result.push({ ...segment })
    beforeWasMatch = segment.match
  }
  return result
}

const RULES: Record<Behavior, (segments: Segment[]) => Segment[]> = {
  Removed: (segments) => segments.filter(({ match }) => !match),
  Isolated: (segments) => segments,
  Contiguous: (segments) => mergeSegments(segments, (now, before) => now.match === before),
  MergedWithPrevious: (segments) => mergeSegments(segments, (now, before) => now.match && !before),
  MergedWithNext: (segments) => mergeSegments(segments.reverse(), (now, before) => now.match && !before).reverse(),
}

/** Splits a piece at matches. */
export const splitAt = <P extends Piece>(piece: P, matches: readonly Span[], behavior: Behavior, invert = false): P[] =>
  RULES[behavior](coverText(piece.text.length, matches, invert)).map(({ start, end }) => piece.slice(start, end) as P)

/** Splits each piece at the characters for which `test` is true. */
export const splitAtCharacters = <P extends Piece>(
  pieces: readonly P[],
  behavior: Behavior,
  test: (code: number) => boolean,
): P[] =>
  pieces.flatMap((piece) => {
    const matches: Span[] = []
    const { text } = piece
    for (let at = 0; at < text.length; ) {
      const code = text.codePointAt(at)!
      const end = at + (code > 0xffff ? 2 : 1)
      if (test(code)) matches.push([at, end])
      at = end
    }
    return splitAt(piece, matches, behavior)
  })
