// What a pre-tokenizer is, and how matches become pieces. It knows none of them.
import type { Fields } from '../fields.ts'
import type { Piece, Span } from '../text.ts'
import type { Scanner } from './scanner.ts'

export interface PreTokenizer {
  /** Splits the pieces further; may edit them. Pieces without text are dropped by the caller. */
  split<P extends Piece>(pieces: readonly P[]): P[]
  /** For one that only cuts: finds the cuts without making pieces. */
  readonly scanner?: () => Scanner
  /** What becomes of the text of each piece that the scanner cuts out. */
  readonly finish?: (text: string) => string
  /** Put before a stretch that does not begin with it. */
  readonly prefix?: string
  /** As of a normalizer; '' when it always splits at the cut. */
  cutBefore?(lead: string): string | undefined
  /** Says that a piece at the start of the original is treated differently. */
  readonly mindsStart?: boolean
  /** Says that ASCII punctuation always stands alone and that ASCII white space splits and is dropped. */
  readonly isolatesAscii?: boolean
}

export interface PreTokenizerDefinition {
  type: string
  read(fields: Fields, nested: (value: unknown, where: string) => PreTokenizer): PreTokenizer
}

export const definePreTokenizer = (definition: PreTokenizerDefinition): PreTokenizerDefinition => definition

/** What happens to the matches of a pattern. */
export const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const
export type Behavior = (typeof BEHAVIORS)[number]

interface Stretch {
  start: number
  end: number
  match: boolean
}

/** All of a text of `length` units, as matches and the stretches between them. */
const cover = (length: number, matches: readonly Span[], invert: boolean): Stretch[] => {
  const stretches: Stretch[] = []
  let done = 0
  for (const [start, end] of matches) {
    if (done < start) stretches.push({ start: done, end: start, match: invert })
    stretches.push({ start, end, match: !invert })
    done = end
  }
  if (done < length) stretches.push({ start: done, end: length, match: invert })
  return stretches
}

/** Joins each stretch for which `joins` holds, given it and the one before it in the order of going, to that one. */
const join = (stretches: Stretch[], joins: (now: Stretch, beforeWasMatch: boolean) => boolean): Stretch[] => {
  const result: Stretch[] = []
  let beforeWasMatch = false
  for (const stretch of stretches) {
    const last = result.at(-1)
    if (last !== undefined && joins(stretch, beforeWasMatch)) {
      last.start = Math.min(last.start, stretch.start)
      last.end = Math.max(last.end, stretch.end)
    } else result.push({ ...stretch })
    beforeWasMatch = stretch.match
  }
  return result
}

const RULES: Record<Behavior, (stretches: Stretch[]) => Stretch[]> = {
  Removed: (stretches) => stretches.filter(({ match }) => !match),
  Isolated: (stretches) => stretches,
  Contiguous: (stretches) => join(stretches, (now, before) => now.match === before),
  MergedWithPrevious: (stretches) => join(stretches, (now, before) => now.match && !before),
  MergedWithNext: (stretches) => join(stretches.reverse(), (now, before) => now.match && !before).reverse(),
}

/** Splits a piece at matches. */
export const splitAt = <P extends Piece>(piece: P, matches: readonly Span[], behavior: Behavior, invert = false): P[] =>
  RULES[behavior](cover(piece.text.length, matches, invert)).map(({ start, end }) => piece.slice(start, end) as P)

/** Splits each piece at the characters for which `test` holds. */
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
