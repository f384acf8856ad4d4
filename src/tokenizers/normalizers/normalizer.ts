// The interface of normalizers.
import type { AlignedPiece } from '../text.ts'

/** Whether a piece of text is at the start or at the end of its segment (the text between two added tokens). */
export interface SegmentEdges {
  first: boolean
  last: boolean
}

/** A piece that is a whole segment. */
export const WHOLE_SEGMENT: SegmentEdges = { first: true, last: true }

/** Changes text before pre-tokenization. */
export interface Normalizer {
  /** Returns the normalized text. */
  normalize(text: string, edges: SegmentEdges): string
  /** Normalizes a whole segment in place and keeps its offsets into the original. */
  align(piece: AlignedPiece): void
  /**
   * Whether text may be split before any `lead` that follows another character, and both sides normalized
   * independently. Returns the characters that may follow the split afterwards, or undefined if a split could change
   * the result.
   */
  safeSplitBefore?(lead: string): string | undefined
  /** True if text may be split on both sides of ASCII punctuation, space, tab and line ends. */
  readonly splitsSafelyAtAscii?: boolean
  /** 'end' if the end of a segment is normalized differently from other places. */
  readonly dependsOn?: 'end'
}
