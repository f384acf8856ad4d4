// Decoders of byte tokens: byte-level vocabularies and byte fallback (`<0x0A>`).
import { fromByteLevel } from '../byte-level.ts'
import { defineDecoder } from './decoder.ts'

/** Decodes byte-level tokens as UTF-8. */
export const byteLevelDecoder = defineDecoder({
  type: 'ByteLevel',
  read: () => (tokens) => {
    const bytes: number[] = []
    for (const token of tokens) for (const byte of fromByteLevel(token) ?? Buffer.from(token, 'utf8')) bytes.push(byte)
    return [Buffer.from(bytes).toString('utf8')]
  },
})

const BYTE_TOKEN = /^<0x([0-9a-fA-F]{2})>$/
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const decodeRun = (bytes: readonly number[]): string[] => {
  try {
    return [strict.decode(Uint8Array.from(bytes))]
  } catch {
    return bytes.map(() => '\ufffd')
  }
}

/** Decodes runs of byte-fallback tokens as UTF-8; each byte of an invalid run becomes U+FFFD. */
export const byteFallback = defineDecoder({
  type: 'ByteFallback',
  read: () => (tokens) => {
    const result: string[] = []
    let run: number[] = []
    for (const token of tokens) {
      const match = BYTE_TOKEN.exec(token)
      if (match !== null) run.push(Number.parseInt(match[1], 16))
      else {
        if (run.length > 0) result.push(...decodeRun(run))
        run = []
        result.push(token)
      }
    }
    if (run.length > 0) result.push(...decodeRun(run))
    return result
  },
})
