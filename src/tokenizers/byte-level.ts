// The byte-to-unicode table of GPT-2: a printable character for each of the 256 bytes, in which byte-level vocabularies
// are written, and the bytes of single tokens.
// @source Radford et al. 2019, the encoder released with GPT-2
import type { Tokenizer } from './tokenizer.ts'

const characterOfByte: string[] = []
const byteOfUnit = new Int16Array(0x200).fill(-1)
let next = 0x100
for (let byte = 0; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
  const unit = printable ? byte : next++
  characterOfByte.push(String.fromCharCode(unit))
  byteOfUnit[unit] = byte
}

/** The printable character of each byte, indexed by byte. */
export const BYTE_ALPHABET: readonly string[] = characterOfByte

/** Converts text to its UTF-8 bytes, each written as its printable character. */
export const toByteLevel = (text: string): string => {
  let result = ''
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) {
      const bytes = Buffer.from(text.slice(i), 'utf8')
      for (let b = 0; b < bytes.length; b++) result += characterOfByte[bytes[b]]
      return result
    }
    result += characterOfByte[unit]
  }
  return result
}

/** The bytes of a byte-level token, or undefined if it holds a character outside the byte table. */
export const fromByteLevel = (token: string): number[] | undefined => {
  const bytes: number[] = []
  for (let i = 0; i < token.length; i++) {
    const unit = token.charCodeAt(i)
    const byte = unit < 0x200 ? byteOfUnit[unit] : -1
    if (byte < 0) return undefined
    bytes.push(byte)
  }
  return bytes
}

const byteToken = /^<0x([0-9a-fA-F]{2})>$/

/** What a tokenizer's decoder tells of single tokens. */
interface Kind {
  byteLevel: boolean
  byteFallback: boolean
  /** A token before which others are decoded as in the middle of a text. */
  anchor: number | undefined
}

const kinds = new WeakMap<Tokenizer, Kind>()

const kindOf = (tokenizer: Tokenizer): Kind => {
  const known = kinds.get(tokenizer)
  if (known !== undefined) return known
  const types = new Set(tokenizer.decoderTypes)
  const anchor = ['a', '▁a', 'the', '▁the'].map((token) => tokenizer.tokenToId(token)).find((id) => id !== undefined)
  const kind = { byteLevel: types.has('ByteLevel'), byteFallback: types.has('ByteFallback'), anchor }
  kinds.set(tokenizer, kind)
  return kind
}

/** The bytes that a token adds to a text, which need not be whole characters. Special tokens give those of their names; unknown ids give none. */
export const tokenBytes = (tokenizer: Tokenizer, id: number): Uint8Array => {
  const token = tokenizer.idToToken(id)
  if (token === undefined) return new Uint8Array()
  const { byteLevel, byteFallback, anchor } = kindOf(tokenizer)
  if (byteLevel) return Uint8Array.from(fromByteLevel(token) ?? Buffer.from(token, 'utf8'))
  const byte = byteFallback ? byteToken.exec(token) : null
  if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1], 16))
  if (anchor === undefined) return Buffer.from(tokenizer.decode([id]), 'utf8')
  const before = tokenizer.decode([anchor])
  return Buffer.from(tokenizer.decode([anchor, id]).slice(before.length), 'utf8')
}
