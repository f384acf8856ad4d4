// The registry of decoders and the reader of their JSON forms.
import { Fields, MAX_DEPTH, throwInvalid } from '../fields.ts'
import { byteFallback, byteLevelDecoder } from './bytes.ts'
import type { Decoder, DecoderDefinition } from './decoder.ts'
import {
  bpeDecoder,
  ctc,
  decoderSequence,
  fuse,
  metaspaceDecoder,
  replaceDecoder,
  stripDecoder,
  wordPieceDecoder,
} from './words.ts'

export type { Decoder } from './decoder.ts'

const all = [
  bpeDecoder,
  byteFallback,
  byteLevelDecoder,
  ctc,
  decoderSequence,
  fuse,
  metaspaceDecoder,
  replaceDecoder,
  stripDecoder,
  wordPieceDecoder,
]

/** All decoder types by name. */
const decoders: Readonly<Record<string, DecoderDefinition>> = Object.fromEntries(
  all.map((definition) => [definition.type, definition]),
)

/** Builds a decoder from its JSON form in tokenizer.json. Throws DataError. */
export const readDecoder = (value: unknown, where = 'decoder', depth = 0): Decoder => {
  if (depth > MAX_DEPTH) throwInvalid(`at most ${MAX_DEPTH} nested sequences`, where, 'more')
  const fields = new Fields(value, where)
  const type = fields.string('type')
  const definition = Object.hasOwn(decoders, type) ? decoders[type] : undefined
  if (definition === undefined) throwInvalid(`one of ${Object.keys(decoders).join(', ')}`, fields.at('type'), type)
  return definition.read(fields, (inner, innerWhere) => readDecoder(inner, innerWhere, depth + 1))
}
