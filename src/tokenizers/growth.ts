// Limits how much normalizers and decoders may expand a text: a chain of replacements in an untrusted file can double
// it at every step.
import { DataError } from '../core/index.ts'

// Unicode normalization expands a single character to at most 18.
const MAX_FACTOR = 32
const ALWAYS_ALLOWED = 1 << 20
const NEVER_ALLOWED = 1 << 27

/** Maximum length to which a text of `length` UTF-16 units may be expanded. */
export const maxExpandedLength = (length: number): number =>
  Math.max(ALWAYS_ALLOWED, Math.min(MAX_FACTOR * length, Math.max(NEVER_ALLOWED, 2 * length)))

/** Throws DataError if a text is expanded beyond the limit by the component at `where`. */
export const checkExpansion = (length: number, expanded: number, where: string): void => {
  const limit = maxExpandedLength(length)
  if (expanded > limit)
    throw new DataError(
      `\`${where}\` expands a text of ${length} characters to more than ${limit}: use another tokenizer file.`,
    )
}
