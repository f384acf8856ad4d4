// Documents for the tokenizer commands: those of corpora, or text files whole (very long ones in pieces). It knows no
// tokenizer.
import { ConfigError, sha256 } from '../../core/index.ts'
import { readCorpus, readManifest } from '../../corpus/index.ts'
import { expandFiles, openBytes } from '../../files/index.ts'

export interface TextInputs {
  corpora: readonly string[]
  files: readonly string[]
}

export interface OpenedTexts {
  documents(): AsyncGenerator<string>
  /** What they are, by content of corpora and by name of files. */
  description: string
}

const EXTENSIONS = ['.txt', '.md', '.text']

/** Opens corpora or files; a file longer than `maxBytes` becomes several documents, cut at the ends of lines. */
export async function openTexts(
  { corpora, files }: TextInputs,
  { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
): Promise<OpenedTexts> {
  if (corpora.length + files.length === 0) {
    throw new ConfigError('Expected text for `corpus`, got none. Name a corpus folder with --corpus, or text files.')
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

/** Text in pieces of at most `maxBytes`, cut after a line end where there is one, in a way that depends on the bytes only. */
export async function* cutText(bytes: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string> {
  let held: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    held.push(chunk)
    size += chunk.length
    while (size > maxBytes) {
      const whole = Buffer.concat(held)
      const cut = cutPlace(whole, maxBytes)
      yield whole.toString('utf8', 0, cut)
      held = [whole.subarray(cut)]
      size = whole.length - cut
    }
  }
  if (size > 0) yield Buffer.concat(held).toString('utf8')
}

/** At most `most`: after the last line end in the second half, else after the last space, else between two characters. */
function cutPlace(bytes: Buffer, most: number): number {
  for (const end of [0x0a, 0x20]) {
    const at = bytes.lastIndexOf(end, most - 1)
    if (at >= most / 2) return at + 1
  }
  let at = most
  while (at > most - 4 && at > 1 && (bytes[at] & 0xc0) === 0x80) at--
  return at
}
