// Inputs of any size for corpus builds: JSON lines of the paragraphs of real books in another order.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../../src/core/index.ts'
import { bookLines } from '../book-lines.ts'
import { dataFolder } from '../side-by-side.ts'

/** Writes about `megabytes` of documents of 2 to 20 kB, one in twenty a copy of an earlier one with a word changed. */
export const writePerturbedBooks = async (folder: string, megabytes: number): Promise<void> => {
  const paragraphs: string[] = []
  for await (const line of bookLines(dataFolder())) if (line.length > 80) paragraphs.push(line)
  const random = createRandom(megabytes)
  mkdirSync(folder, { recursive: true })
  const fileBytes = 8e6
  let written = 0
  let earlier = ''
  for (let file = 0; written < megabytes * 1e6; file++) {
    const lines: string[] = []
    for (let size = 0; size < fileBytes && written < megabytes * 1e6; ) {
      const wanted = 2000 + random.integer(18_000)
      const chosen: string[] = []
      for (let length = 0; length < wanted; length += chosen.at(-1)!.length) {
        chosen.push(paragraphs[random.integer(paragraphs.length)])
      }
      const copy = earlier !== '' && random.integer(20) === 0
      const text = copy ? earlier.replace(' the ', ' one ') : chosen.join('\n\n')
      if (!copy) earlier = text
      lines.push(JSON.stringify({ text }))
      size += text.length
      written += text.length
    }
    writeFileSync(join(folder, `input-${String(file).padStart(4, '0')}.jsonl`), `${lines.join('\n')}\n`)
  }
}
