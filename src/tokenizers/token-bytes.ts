// The bytes that a single token stands for, which need not be whole characters. Independent of how tokens are joined, except
// for the space that some tokenizers put before a word.
import { fromByteLevel } from './byte-level.ts'
import type { Tokenizer } from './tokenizer.ts'

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

/** The bytes that a token adds to a text. Special tokens give those of their names; unknown ids give none. */
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
