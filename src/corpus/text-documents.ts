// Documents as plain text, from corpora or from text files; very long files are split into several documents.
import { ConfigError, sha256 } from '../core/index.ts'
import { expandFiles, openBytes } from '../files/index.ts'
import { readManifest } from './manifest.ts'
import { readCorpus } from './read-corpus.ts'

/** Paths of corpus folders and of text files. */
export interface TextInputs {
  corpora: readonly string[]
  files: readonly string[]
}

/** Documents of opened inputs, in a fixed order. */
export interface OpenedTexts {
  documents(): AsyncGenerator<string>
  /** Identifies the inputs: corpora by content, files by name. */
  description: string
}

const EXTENSIONS = ['.txt', '.md', '.text']

/**
 * Opens corpora or text files; a file longer than `maxBytes` is split into several documents at line ends.
 * @throws ConfigError when no input is named
 */
export const openTexts = async (
  { corpora, files }: TextInputs,
  { maxBytes, signal }: { maxBytes: number; signal?: AbortSignal },
): Promise<OpenedTexts> => {
  if (corpora.length + files.length === 0) {
    throw new ConfigError('No text was given: name a corpus folder with `--corpus`, or text files.')
  }
  const descriptions: string[] = []
  for (const corpus of corpora) descriptions.push(`corpus ${sha256(JSON.stringify(await readManifest(corpus)))}`)
  const paths = (await Promise.all(files.map((path) => expandFiles(path, EXTENSIONS)))).flat()
  if (paths.length > 0) descriptions.push(`${paths.length} files ${sha256(paths.join('\n'))}`)
  async function* documents(): AsyncGenerator<string> {
    for (const corpus of corpora) {
      for await (const { text } of readCorpus(corpus, { signal })) yield text
    }
    for (const path of paths) yield* cutText(openBytes({ path, signal }), maxBytes)
  }
  return { documents, description: descriptions.join(', ') }
}

/** Splits text into pieces of at most `maxBytes` bytes, after a line end where possible; depends on the bytes only. */
export async function* cutText(bytes: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string> {
  let pending: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    pending.push(chunk)
    size += chunk.length
    while (size > maxBytes) {
      const whole = Buffer.concat(pending)
      const cut = cutPlace(whole, maxBytes)
      yield whole.toString('utf8', 0, cut)
      pending = [whole.subarray(cut)]
      size = whole.length - cut
    }
  }
  if (size > 0) yield Buffer.concat(pending).toString('utf8')
}

/**
 * Where to split, at most at `most`: after the last line end in the second half, else the last space, else between
 * characters.
 */
const cutPlace = (bytes: Buffer, most: number): number => {
  for (const end of [0x0a, 0x20]) {
    const at = bytes.lastIndexOf(end, most - 1)
    if (at >= most / 2) return at + 1
  }
  let at = most
  while (at > most - 4 && at > 1 && (bytes[at] & 0xc0) === 0x80) at--
  return at
}
