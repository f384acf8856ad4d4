// The registry of pre-tokenizers and the reader of their JSON forms.
import { Fields, MAX_DEPTH, throwInvalid } from '../fields.ts'
import { byteLevel } from './byte-level.ts'
import { bertPreTokenizer, charDelimiterSplit, digits, punctuation, whitespace, whitespaceSplit } from './characters.ts'
import { fixedLength, unicodeScripts } from './lengths-and-scripts.ts'
import { metaspace } from './metaspace.ts'
import type { PreTokenizer, PreTokenizerDefinition } from './pre-tokenizer.ts'
import { preTokenizerSequence } from './sequence.ts'
import { split } from './split.ts'

export type { PreTokenizer } from './pre-tokenizer.ts'
export { GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN, type Scanner } from './scanner.ts'

const all = [
  bertPreTokenizer,
  byteLevel,
  charDelimiterSplit,
  digits,
  fixedLength,
  metaspace,
  preTokenizerSequence,
  punctuation,
  split,
  unicodeScripts,
  whitespace,
  whitespaceSplit,
]

/** All pre-tokenizer types by name. */
const preTokenizers: Readonly<Record<string, PreTokenizerDefinition>> = Object.fromEntries(
  all.map((definition) => [definition.type, definition]),
)

/** Builds a pre-tokenizer from its JSON form in tokenizer.json. Throws DataError. */
export const readPreTokenizer = (value: unknown, where = 'pre_tokenizer', depth = 0): PreTokenizer => {
  if (depth > MAX_DEPTH) throwInvalid(`at most ${MAX_DEPTH} nested sequences`, where, 'more')
  const fields = new Fields(value, where)
  // `Delimiter` is the older name of CharDelimiterSplit.
  const type = fields.string('type') === 'Delimiter' ? 'CharDelimiterSplit' : fields.string('type')
  const definition = Object.hasOwn(preTokenizers, type) ? preTokenizers[type] : undefined
  if (definition === undefined) throwInvalid(`one of ${Object.keys(preTokenizers).join(', ')}`, fields.at('type'), type)
  return definition.read(fields, (inner, innerWhere) => readPreTokenizer(inner, innerWhere, depth + 1))
}
