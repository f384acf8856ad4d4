// Decides whether text may be split before encoding without changing the token ids: follows a possible split point
// through a sequence of normalizers and pre-tokenizers.

interface SplitRule {
  safeSplitBefore?(lead: string): string | undefined
}

/**
 * Follows a split point before one of the characters `leads` through all `parts`. Returns the characters that may
 * follow the split point afterwards, '' if a part always splits there, or undefined if a split there could change the
 * result.
 */
export const safeSplitBeforeAll = (parts: readonly SplitRule[], leads: string): string | undefined => {
  let now: string | undefined = leads
  for (const part of parts) {
    if (now === '' || now === undefined) return now
    const after = new Set<string>()
    for (const lead of now) {
      const result: string | undefined = part.safeSplitBefore?.(lead)
      if (result === undefined) return undefined
      if (result === '') after.add('')
      for (const character of result) after.add(character)
    }
    // If only some of the characters always split, the split point must hold for the others too.
    now = after.size === 1 && after.has('') ? '' : [...after].join('')
  }
  return now
}
