// The lines of books that benchmarks read: the project's own six, or the shared ones, each compressed in its own way.
import { join, resolve } from 'node:path'
import { expandFiles, textLines } from '../src/files/index.ts'

/** The folder of data that comes with the project, laid out as ../shared/data is. */
export const bundledData = () => resolve('quickstart', 'data')

/**
 * Yields the lines of the books of a folder of data, in the order of their files, without blank lines and without what
 * stands above the first rule of a book: its title, author and year.
 * @param data a folder that has `books`
 * @throws DataError where it has none
 */
export async function* bookLines(data: string): AsyncGenerator<string> {
  for (const file of await expandFiles(join(data, 'books'), ['.md'])) {
    const lines: string[] = []
    let inHeader = true
    for await (const { text } of textLines(file)) {
      if (inHeader && text.startsWith('-------')) {
        inHeader = false
        lines.length = 0
      } else if (text.trim() !== '') lines.push(text)
    }
    yield* lines
  }
}

/**
 * The first lines of the bundled books that are neither headings nor long paragraphs, for models and records that a smoke run invents.
 * @param range fewest and most characters of a line, both excluded
 * @throws Error where the books have fewer such lines
 */
export const bundledLines = async (count: number, range: readonly [number, number]): Promise<string[]> => {
  const [fewest, most] = range
  const out: string[] = []
  for await (const line of bookLines(bundledData())) {
    if (line.length > fewest && line.length < most) out.push(line)
    if (out.length === count) return out
  }
  throw new Error(`Expected ${count} lines of ${fewest} to ${most} characters in the bundled books, got ${out.length}.`)
}
