// Post-processors that add the special tokens of BERT and RoBERTa, and trim spaces from byte-level offsets.
// @source Devlin et al. 2019 (BERT), Liu et al. 2019 (RoBERTa)
import { Encoding } from '../encoding.ts'
import { type Fields, integer, throwInvalid } from '../fields.ts'
import { isWhiteSpace } from '../unicode.ts'
import { definePostProcessor, mapWindows } from './post-processor.ts'

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
export const bertProcessing = definePostProcessor({
  type: 'BertProcessing',
  read(fields) {
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
  },
})

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
export const robertaProcessing = definePostProcessor({
  type: 'RobertaProcessing',
  read(fields) {
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
  },
})

/** Trims spaces from byte-level offsets; adds no tokens. */
export const byteLevelProcessing = definePostProcessor({
  type: 'ByteLevel',
  read(fields) {
    const trims = fields.boolean('trim_offsets')
    const prefixed = fields.boolean('add_prefix_space')
    return {
      added: () => 0,
      process(encodings) {
        if (trims) trimAll(encodings, prefixed)
        return encodings
      },
    }
  },
})
