// "Did you mean …?": the nearest name to a mistyped one.

/** The number of single-character edits (insert, delete, replace, swap of neighbours) between two words. */
export const editDistance = (a: string, b: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) row[j] = Math.min(row[j], beforeLast[j - 2] + 1)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]
}

/** The candidate nearest to `word`, or undefined when none is near enough to be a slip of the keyboard. */
export const suggest = (word: string, candidates: Iterable<string>): string | undefined => {
  const plain = (text: string) => text.toLowerCase().replace(/[-_ ]/g, '')
  const wanted = plain(word.slice(0, 100))
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(wanted.length * 0.4)) + 0.5
  for (const candidate of candidates) {
    const other = plain(candidate)
    if (Math.abs(other.length - wanted.length) > bestDistance) continue
    const distance = editDistance(wanted, other)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** ` Did you mean \`x\`?` with its leading space, or an empty string. */
export const didYouMean = (word: string, candidates: Iterable<string>): string => {
  const nearest = suggest(word, candidates)
  return nearest === undefined ? '' : ` Did you mean \`${nearest}\`?`
}
