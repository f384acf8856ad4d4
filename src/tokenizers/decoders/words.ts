// Decoders that restore the spaces between words, and decoders that edit single tokens.
import { checkExpansion } from '../growth.ts'
import { readPattern, replaceInTokens } from '../pattern.ts'
import { PREPEND_SCHEMES } from '../pre-tokenizers/metaspace.ts'
import { defineDecoder } from './decoder.ts'

const CLEAN_UPS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
]

const cleanUp = (text: string): string => CLEAN_UPS.reduce((done, [from, to]) => done.replaceAll(from, to), text)

/** Joins word pieces (prefix `##`) and separates words by spaces. */
export const wordPieceDecoder = defineDecoder({
  type: 'WordPiece',
  read(fields) {
    const prefix = fields.string('prefix')
    const cleans = fields.boolean('cleanup')
    return (tokens) =>
      tokens.map((token, i) => {
        const text = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
        return cleans ? cleanUp(text) : text
      })
  },
})

/** Replaces the end-of-word suffix by a space. */
export const bpeDecoder = defineDecoder({
  type: 'BPEDecoder',
  read(fields) {
    const suffix = fields.string('suffix')
    return (tokens) =>
      tokens.map((token, i) => (suffix === '' ? token : token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' ')))
  },
})

/** Replaces `▁` by a space. */
export const metaspaceDecoder = defineDecoder({
  type: 'Metaspace',
  read(fields) {
    const replacement = fields.character('replacement')
    const scheme = fields.oneOf('prepend_scheme', PREPEND_SCHEMES, 'always')
    const prepended = scheme !== 'never' && fields.get('add_prefix_space') !== false
    return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && prepended ? '' : ' '))
  },
})

/** Decodes the output of connectionist temporal classification: merges repeats and drops padding. */
export const ctc = defineDecoder({
  type: 'CTC',
  read(fields) {
    const pad = fields.string('pad_token')
    const delimiter = fields.string('word_delimiter_token')
    const cleans = fields.boolean('cleanup')
    return (tokens) =>
      tokens
        .filter((token, i) => token !== tokens[i - 1])
        .map((token) => {
          const text = pad === '' ? token : token.replaceAll(pad, '')
          return cleans ? cleanUp(text).replaceAll(delimiter, ' ') : text
        })
        .filter((text) => text !== '')
  },
})

/** Removes up to a number of characters from both ends of each token. */
export const stripDecoder = defineDecoder({
  type: 'Strip',
  read(fields) {
    const content = fields.character('content')
    const start = fields.integer('start')
    const stop = fields.integer('stop')
    return (tokens) =>
      tokens.map((token) => {
        const characters = [...token]
        let from = 0
        while (from < start && characters[from] === content) from++
        let to = characters.length
        while (characters.length - to < stop && to > from && characters[to - 1] === content) to--
        return characters.slice(from, to).join('')
      })
  },
})

/** Replaces matches of a pattern in each token. */
export const replaceDecoder = defineDecoder({
  type: 'Replace',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const content = fields.string('content')
    return (tokens) => replaceInTokens(pattern, tokens, content)
  },
})

/** Joins all tokens into one string. */
export const fuse = defineDecoder({ type: 'Fuse', read: () => (tokens) => [tokens.join('')] })

const totalLength = (tokens: readonly string[]): number => tokens.reduce((sum, token) => sum + token.length, 0)

/** Applies several decoders in order. */
export const decoderSequence = defineDecoder({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('decoders')
    const parts = fields.list('decoders').map((value, i) => nested(value, `${where}[${i}]`))
    return (tokens) => {
      const length = totalLength(tokens)
      let decoded = tokens
      for (const [i, part] of parts.entries()) {
        decoded = part(decoded)
        checkExpansion(length, totalLength(decoded), `${where}[${i}]`)
      }
      return decoded
    }
  },
})
