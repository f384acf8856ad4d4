// Follows a place where text could be cut through a row of components. It knows no component.

interface Cutting {
  cutBefore?(lead: string): string | undefined
}

/**
 * What may stand at a cut made before one of `leads`, after all of `parts`: the possible characters, '' when a part
 * always splits there, or undefined when some part does not bear the cut.
 */
export const cutsBefore = (parts: readonly Cutting[], leads: string): string | undefined => {
  let now: string | undefined = leads
  for (const part of parts) {
    if (now === '' || now === undefined) return now
    const after = new Set<string>()
    for (const lead of now) {
      const result: string | undefined = part.cutBefore?.(lead)
      if (result === undefined) return undefined
      if (result === '') after.add('')
      for (const character of result) after.add(character)
    }
    // A place that is split only sometimes is a soft one.
    now = after.size === 1 && after.has('') ? '' : [...after].join('')
  }
  return now
}
