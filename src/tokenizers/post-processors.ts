// The post-processors of tokenizer.json, by type: they add special tokens, and trim spaces from byte-level offsets.
// @source Devlin et al. 2019 (BERT), Liu et al. 2019 (RoBERTa)
import { type ComponentType, componentReader, readParts } from './components.ts'
import { Encoding } from './encoding.ts'
import { Fields, integer, type JsonObject, throwInvalid } from './fields.ts'
import { isWhiteSpace } from './unicode.ts'

/** Adds special tokens to encoded sequences. */
export interface PostProcessor {
  /** Number of special tokens added to one sequence or to a pair. */
  added(isPair: boolean): number
  /** Turns the encodings of one or two sequences into the encodings that are concatenated to the result. */
  process(encodings: Encoding[], addSpecialTokens: boolean): Encoding[]
}

/** Applies `make` to the encoding and to each of its overflowing windows. */
const mapWindows = (encoding: Encoding, make: (one: Encoding) => Encoding): Encoding => {
  const made = make(encoding)
  made.overflowing = encoding.overflowing.map(make)
  return made
}

interface Special {
  token: string
  id: number
}

const special = (fields: Fields, key: string): Special => {
  const pair = fields.list(key)
  const [token, id] = pair
  if (pair.length !== 2 || typeof token !== 'string') throwInvalid('a token and its id', fields.at(key), pair)
  return { token, id: integer(id, fields.at(key)) }
}

const framed = (encoding: Encoding, before: Special | undefined, after: Special, typeId: number): Encoding => {
  const result = new Encoding()
  if (before !== undefined) result.pushSpecial(before.id, before.token, typeId)
  result.append(encoding.slice(0, encoding.length))
  result.pushSpecial(after.id, after.token, typeId)
  return result
}

/** [CLS] A [SEP] and [CLS] A [SEP] B [SEP], with segment ids 0 and 1. */
const bertProcessing: ComponentType<PostProcessor> = (fields) => {
  const sep = special(fields, 'sep')
  const cls = special(fields, 'cls')
  return {
    added: (isPair) => (isPair ? 3 : 2),
    process: (encodings, addSpecialTokens) =>
      addSpecialTokens
        ? encodings.map((encoding, i) =>
            mapWindows(encoding, (one) => framed(one, i === 0 ? cls : undefined, sep, i === 0 ? 0 : 1)),
          )
        : encodings,
  }
}

/** Removes leading and trailing spaces of byte-level tokens from their offsets. */
const trimOffsets = (encoding: Encoding, prefixed: boolean): void => {
  for (const [i, token] of encoding.tokens.entries()) {
    const offsets = encoding.offsets[i]
    let leading = 0
    while (leading < token.length && isSpace(token[leading])) leading++
    let trailing = 0
    while (trailing < token.length && isSpace(token[token.length - 1 - trailing])) trailing++
    if (leading > 0) {
      // A single space at the start is the added prefix, which is not in the original text.
      if ((i === 0 || offsets[0] === 0) && prefixed && leading === 1) leading = 0
      offsets[0] = Math.min(offsets[0] + leading, offsets[1])
    }
    if (trailing > 0 && offsets[1] >= trailing) offsets[1] = Math.max(offsets[1] - trailing, offsets[0])
  }
}

const isSpace = (character: string): boolean => character === 'Ġ' || isWhiteSpace(character)

const trimAll = (encodings: readonly Encoding[], prefixed: boolean): void => {
  for (const encoding of encodings) for (const one of [encoding, ...encoding.overflowing]) trimOffsets(one, prefixed)
}

/** <s> A </s> and <s> A </s></s> B </s>, with segment ids 0. */
const robertaProcessing: ComponentType<PostProcessor> = (fields) => {
  const sep = special(fields, 'sep')
  const cls = special(fields, 'cls')
  const trims = fields.boolean('trim_offsets')
  const prefixed = fields.boolean('add_prefix_space')
  return {
    added: (isPair) => (isPair ? 4 : 2),
    process(encodings, addSpecialTokens) {
      if (trims) trimAll(encodings, prefixed)
      for (const encoding of encodings) encoding.setTypeId(0)
      if (!addSpecialTokens) return encodings
      return encodings.map((encoding, i) =>
        mapWindows(encoding, (one) => {
          const result = framed(one, i === 0 ? cls : sep, sep, 0)
          result.setTypeId(0)
          return result
        }),
      )
    },
  }
}

/** Trims spaces from byte-level offsets; adds no tokens. */
const byteLevelProcessing: ComponentType<PostProcessor> = (fields) => {
  const trims = fields.boolean('trim_offsets')
  const prefixed = fields.boolean('add_prefix_space')
  return {
    added: () => 0,
    process(encodings) {
      if (trims) trimAll(encodings, prefixed)
      return encodings
    },
  }
}

type Part = { sequence: number; typeId: number } | { ids: number[]; tokens: string[]; typeId: number }

const readSpecials = (specials: JsonObject, where: string): Map<string, { ids: number[]; tokens: string[] }> => {
  const result = new Map<string, { ids: number[]; tokens: string[] }>()
  for (const name of Object.keys(specials)) {
    const fields = new Fields(specials[name], `${where}.${name}`)
    const ids = fields.list('ids').map((id, i) => integer(id, `${fields.at('ids')}[${i}]`))
    const tokens = fields.list('tokens').map((token) => String(token))
    if (ids.length !== tokens.length) throwInvalid(`${ids.length} tokens`, fields.at('tokens'), tokens)
    result.set(name, { ids, tokens })
  }
  return result
}

const readTemplate = (
  list: readonly unknown[],
  where: string,
  specials: ReadonlyMap<string, { ids: number[]; tokens: string[] }>,
): Part[] =>
  list.map((item, i) => {
    const fields = new Fields(item, `${where}[${i}]`)
    if (fields.has('Sequence')) {
      const sequence = new Fields(fields.get('Sequence'), fields.at('Sequence'))
      return { sequence: sequence.oneOf('id', ['A', 'B']) === 'A' ? 0 : 1, typeId: sequence.integer('type_id') }
    }
    const token = new Fields(fields.get('SpecialToken'), fields.at('SpecialToken'))
    const special = specials.get(token.string('id'))
    if (special === undefined) throwInvalid('a name from special_tokens', token.at('id'), token.string('id'))
    return { ...special, typeId: token.integer('type_id') }
  })

/** Combines sequences and special tokens by a template. */
const templateProcessing: ComponentType<PostProcessor> = (fields) => {
  const specials = readSpecials(fields.object('special_tokens'), fields.at('special_tokens'))
  const single = readTemplate(fields.list('single'), fields.at('single'), specials)
  const pair = readTemplate(fields.list('pair'), fields.at('pair'), specials)
  if (single.some((part) => 'sequence' in part && part.sequence === 1))
    throwInvalid('sequence A only', fields.at('single'), fields.get('single'))
  return {
    added: (isPair) => (isPair ? pair : single).reduce((sum, part) => sum + ('ids' in part ? part.ids.length : 0), 0),
    process(encodings, addSpecialTokens) {
      const parts: Encoding[] = []
      for (const part of encodings.length === 2 ? pair : single) {
        if ('sequence' in part) {
          const encoding = encodings[part.sequence]
          encoding.setTypeId(part.typeId)
          parts.push(encoding)
        } else if (addSpecialTokens) {
          const special = new Encoding()
          for (const [i, id] of part.ids.entries()) special.pushSpecial(id, part.tokens[i], part.typeId)
          parts.push(special)
        }
      }
      return parts
    },
  }
}

/** Applies post-processors in order. */
const postProcessorSequence: ComponentType<PostProcessor> = (fields, nested) => {
  const parts = readParts(fields, 'processors', nested)
  return {
    added: (isPair) => parts.reduce((sum, part) => sum + part.added(isPair), 0),
    process: (encodings, addSpecialTokens) =>
      parts.reduce((now, part) => part.process(now, addSpecialTokens), encodings),
  }
}

/** Builds a post-processor from its JSON form in tokenizer.json. Throws DataError. */
export const readPostProcessor = componentReader<PostProcessor>('post_processor', {
  BertProcessing: bertProcessing,
  ByteLevel: byteLevelProcessing,
  Sequence: postProcessorSequence,
  RobertaProcessing: robertaProcessing,
  TemplateProcessing: templateProcessing,
})
