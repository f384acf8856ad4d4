// What a normalizer is. It knows none of them.
import type { Fields } from '../fields.ts'
import type { AlignedPiece } from '../text.ts'

/** Where a piece of text stands in the stretch between two added tokens. */
export interface Edges {
  first: boolean
  last: boolean
}

export const WHOLE: Edges = { first: true, last: true }

export interface Normalizer {
  /** The normalized text. */
  normalize(text: string, edges: Edges): string
  /** Normalizes a whole stretch and keeps the way back to the original. */
  align(piece: AlignedPiece): void
  /**
   * Says that text may be cut before any `lead` that follows another character, and both sides normalized by
   * themselves. Returns the characters one of which stands at the cut afterwards, or undefined when cutting would
   * change the result.
   */
  cutBefore?(lead: string): string | undefined
  /** Says that text may be cut on both sides of ASCII punctuation, space, tab and line ends. */
  readonly cutsAtAscii?: boolean
  /** Says that the end of a stretch is treated differently from other places. */
  readonly minds?: 'end'
}

export interface NormalizerDefinition {
  type: string
  /** Reads the JSON form; `nested` reads a normalizer inside it. */
  read(fields: Fields, nested: (value: unknown, where: string) => Normalizer): Normalizer
}

export const defineNormalizer = (definition: NormalizerDefinition): NormalizerDefinition => definition
