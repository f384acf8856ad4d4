// The differences of two texts, word by word: the longest common subsequence of the part between their common beginning and end.

/** A piece of one of two texts. */
export interface DiffPart {
  text: string
  /** Whether the other text does not have it there. */
  differs: boolean
}

/** Cells of the table of a comparison; longer middles differ as a whole. */
const maxCells = 4_000_000

const wordsOf = (text: string): string[] => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? []

/** Marks of the words of both that are in a longest common subsequence. */
const commonMarks = (a: readonly string[], b: readonly string[]): [Uint8Array, Uint8Array] => {
  const marks: [Uint8Array, Uint8Array] = [new Uint8Array(a.length), new Uint8Array(b.length)]
  const width = b.length + 1
  if ((a.length + 1) * width > maxCells) return marks
  const table = new Uint32Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i * width + j] =
        a[i] === b[j]
          ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1])
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      marks[0][i++] = 1
      marks[1][j++] = 1
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++
    else j++
  }
  return marks
}

/** Words with the same mark as one part. */
const joined = (words: readonly string[], common: (i: number) => boolean): DiffPart[] => {
  const parts: DiffPart[] = []
  words.forEach((word, i) => {
    const differs = !common(i)
    const last = parts.at(-1)
    if (last?.differs === differs) last.text += word
    else parts.push({ text: word, differs })
  })
  return parts
}

/** Both texts in parts. */
export const diffWords = (first: string, second: string): [DiffPart[], DiffPart[]] => {
  const [a, b] = [wordsOf(first), wordsOf(second)]
  const most = Math.min(a.length, b.length)
  let start = 0
  while (start < most && a[start] === b[start]) start++
  let end = 0
  while (end < most - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  const marks = commonMarks(a.slice(start, a.length - end), b.slice(start, b.length - end))
  const isCommon = (words: readonly string[], own: Uint8Array) => (i: number) =>
    i < start || i >= words.length - end || own[i - start] === 1
  return [joined(a, isCommon(a, marks[0])), joined(b, isCommon(b, marks[1]))]
}
