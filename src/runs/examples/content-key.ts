// Keys of cached data: hashes of what it was made from, the program included.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { sha256, sha256File } from '../../core/index.ts'
import { expandFiles } from '../../files/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

/** SHA-256 of every file below a path, by its path. */
export const contentOf = async (path: string): Promise<{ [file: string]: string }> => {
  const hashes: { [file: string]: string } = {}
  for (const file of await expandFiles(path, [''])) hashes[file] = await sha256File(file)
  return hashes
}

/**
 * Folders of the code that reads and encodes records. In a built package they hold what is exported and started, which
 * imports the rest by names that are hashes of it.
 */
const codeFolders = ['../../files/', '../../tokenizers/', '../../tasks/', './']
let code: Promise<string> | undefined

/** A hash of the code that reads and encodes, so that another version of it does not use what this one made. */
export const codeHash = (): Promise<string> => {
  code ??= (async () => {
    const hashes: string[] = []
    for (const folder of codeFolders) {
      const files = await expandFiles(fileURLToPath(new URL(folder, import.meta.url)), ['.ts', '.js'])
      for (const file of files) if (!/\.d\.ts$|\.test\.\w+$/.test(file)) hashes.push(sha256(await readFile(file)))
    }
    return sha256(hashes.join())
  })()
  return code
}

/** A hash of all of a tokenizer that changes ids. */
export const tokenizerHash = (tokenizer: Tokenizer): string => {
  const { special, maxLength, truncationSide, chatTemplate, config } = tokenizer
  return sha256(JSON.stringify([tokenizer.toJson(), special, maxLength, truncationSide, chatTemplate, config]))
}

/** A short hash of any plain data. */
export const keyOf = (...parts: readonly unknown[]): string => sha256(JSON.stringify(parts)).slice(0, 32)
