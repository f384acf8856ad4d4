// The registry of normalizers and the reader of their JSON forms.
import { Fields, MAX_DEPTH, throwInvalid } from '../fields.ts'
import { byteLevelNormalizer } from './byte-level.ts'
import { bertNormalizer, nmt, stripAccents } from './cleaning.ts'
import { append, prepend, strip } from './edges.ts'
import { lowercase, nfc, nfd, nfkc, nfkd } from './forms.ts'
import type { Normalizer, NormalizerDefinition } from './normalizer.ts'
import { precompiled } from './precompiled.ts'
import { replace } from './replace.ts'
import { normalizerSequence } from './sequence.ts'

export { type Normalizer, type SegmentEdges, WHOLE_SEGMENT } from './normalizer.ts'

const all = [
  append,
  bertNormalizer,
  byteLevelNormalizer,
  lowercase,
  nfc,
  nfd,
  nfkc,
  nfkd,
  nmt,
  normalizerSequence,
  precompiled,
  prepend,
  replace,
  strip,
  stripAccents,
]

/** All normalizer types by name. */
const normalizers: Readonly<Record<string, NormalizerDefinition>> = Object.fromEntries(
  all.map((definition) => [definition.type, definition]),
)

/** Builds a normalizer from its JSON form in tokenizer.json. Throws DataError. */
export const readNormalizer = (value: unknown, where = 'normalizer', depth = 0): Normalizer => {
  if (depth > MAX_DEPTH) throwInvalid(`at most ${MAX_DEPTH} nested sequences`, where, 'more')
  const fields = new Fields(value, where)
  const type = fields.string('type')
  const definition = Object.hasOwn(normalizers, type) ? normalizers[type] : undefined
  if (definition === undefined) throwInvalid(`one of ${Object.keys(normalizers).join(', ')}`, fields.at('type'), type)
  return definition.read(fields, (inner, innerWhere) => readNormalizer(inner, innerWhere, depth + 1))
}
