// The end of what a program printed, and what it prints from then on, as text without the codes of terminals.
import { open } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'

/** Bytes that are shown of a long output. */
const tailBytes = 64 * 1024

/** A part of an output. */
export interface ConsolePart {
  text: string
  /** Bytes of the file up to the end of the part. */
  end: number
  /** Whether output before the part was left out, or the file was begun anew. */
  fresh: boolean
}

/** Colours and movements of the cursor (ECMA-48). */
const terminalCodes = /\u001b\[[0-?]*[ -/]*[@-~]/g

/** Text as a terminal leaves it: a carriage return begins its line again. */
const plainText = (text: string): string =>
  text
    .replaceAll(terminalCodes, '')
    .replaceAll('\r\n', '\n')
    .replaceAll(/[^\n]*\r(?=[^\n])/g, '')
    .replaceAll('\r', '')

/** Bytes of UTF-8 without the rest of a character at their start, and without the beginning of one at their end. */
const wholeCharacters = (bytes: Buffer): Buffer => {
  let start = 0
  while (start < Math.min(3, bytes.length) && (bytes[start] & 0xc0) === 0x80) start++
  const rest = bytes.subarray(start)
  const decoded = new StringDecoder('utf8').write(rest)
  // Damaged bytes are shown as they are; only a character that is not whole yet is left to the next part.
  for (let cut = 0; cut <= Math.min(3, rest.length); cut++) {
    const part = rest.subarray(0, rest.length - cut)
    if (part.toString('utf8') === decoded) return part
  }
  return rest
}

/** The output after `from` bytes, at most its last 64 kB; undefined if the file is missing. */
export const readConsole = async (path: string, from?: number): Promise<ConsolePart | undefined> => {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    const wanted = from === undefined || from > size ? 0 : from
    const start = Math.max(wanted, size - tailBytes)
    const bytes = Buffer.alloc(size - start)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    const read = wholeCharacters(bytes.subarray(0, bytesRead))
    return {
      text: plainText(read.toString('utf8')),
      end: start + read.byteOffset - bytes.byteOffset + read.length,
      fresh: from === undefined || start !== from,
    }
  } finally {
    await file.close()
  }
}

/** The error that a program ended with, from the end of its output. */
export const consoleError = async (path: string): Promise<string | undefined> => {
  const { text } = (await readConsole(path)) ?? { text: '' }
  const at = Math.max(text.lastIndexOf('\nerror: '), text.startsWith('error: ') ? 0 : -1)
  return at < 0 ? undefined : text.slice(at).trim().slice('error: '.length, 2000)
}
