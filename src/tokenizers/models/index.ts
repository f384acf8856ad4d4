// The registry of models and the reader of their JSON forms.
import { Fields, throwInvalid } from '../fields.ts'
import { bpe } from './bpe.ts'
import type { Model, ModelDefinition } from './model.ts'
import { unigram } from './unigram.ts'
import { wordLevel } from './word-level.ts'
import { wordPiece } from './wordpiece.ts'

export { createTokenSink, type Model } from './model.ts'

const all = [bpe, unigram, wordLevel, wordPiece]

/** All model types by name. */
const models: Readonly<Record<string, ModelDefinition>> = Object.fromEntries(
  all.map((definition) => [definition.type, definition]),
)

// Older files without `model.type` are recognised by their fields.
const UNNAMED: readonly (readonly [string, (fields: Fields) => boolean])[] = [
  ['BPE', (fields) => fields.has('merges')],
  ['WordPiece', (fields) => fields.has('continuing_subword_prefix')],
  ['Unigram', (fields) => Array.isArray(fields.get('vocab'))],
  ['WordLevel', () => true],
]

/** Builds a model from its JSON form in tokenizer.json. Throws DataError. */
export const readModel = (value: unknown, where = 'model'): Model => {
  const fields = new Fields(value, where)
  const type = fields.optionalString('type') ?? UNNAMED.find(([, fits]) => fits(fields))![0]
  const definition = Object.hasOwn(models, type) ? models[type] : undefined
  if (definition === undefined) throwInvalid(`one of ${Object.keys(models).join(', ')}`, fields.at('type'), type)
  return definition.read(fields)
}
