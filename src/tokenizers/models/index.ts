// The models of tokenizer.json, by type.
import { componentReader } from '../components.ts'
import type { Fields } from '../fields.ts'
import { bpe } from './bpe.ts'
import type { Model } from './model.ts'
import { unigram } from './unigram.ts'
import { wordLevel, wordPiece } from './words.ts'

export { createTokenSink, type Model } from './model.ts'

// Older files without `model.type` are recognised by their fields.
const UNNAMED: readonly (readonly [string, (fields: Fields) => boolean])[] = [
  ['BPE', (fields) => fields.has('merges')],
  ['WordPiece', (fields) => fields.has('continuing_subword_prefix')],
  ['Unigram', (fields) => Array.isArray(fields.get('vocab'))],
  ['WordLevel', () => true],
]

/** Builds a model from its JSON form in tokenizer.json. Throws DataError. */
export const readModel = componentReader<Model>(
  'model',
  { BPE: bpe, Unigram: unigram, WordLevel: wordLevel, WordPiece: wordPiece },
  (fields) => fields.optionalString('type') ?? UNNAMED.find(([, fits]) => fits(fields))![0],
)
