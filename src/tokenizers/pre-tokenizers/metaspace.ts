// SentencePiece's handling of spaces: each space becomes `▁`, which starts the word after it.
// @source Kudo and Richardson 2018 (SentencePiece)
import { throwInvalid } from '../fields.ts'
import type { Span } from '../text.ts'
import { definePreTokenizer, splitAt } from './pre-tokenizer.ts'

/** When `▁` is prepended: at the start of the text only, never, or to every segment. */
export const PREPEND_SCHEMES = ['first', 'never', 'always'] as const

/** All spans of `character` in `text`. */
export const occurrences = (text: string, character: string): Span[] => {
  const spans: Span[] = []
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + character.length))
    spans.push([at, at + character.length])
  return spans
}

/** Replaces spaces by `▁` and splits before each. */
export const metaspace = definePreTokenizer({
  type: 'Metaspace',
  read(fields) {
    const replacement = fields.character('replacement')
    let scheme = fields.oneOf('prepend_scheme', PREPEND_SCHEMES, 'always')
    if (fields.get('add_prefix_space') === false) {
      if (fields.has('prepend_scheme') && scheme !== 'never')
        throwInvalid('"never", as add_prefix_space is false,', fields.at('prepend_scheme'), scheme)
      scheme = 'never'
    }
    const splits = fields.boolean('split', true)
    return {
      split: (pieces) =>
        pieces.flatMap((piece) => {
          piece.replace(occurrences(piece.text, ' '), replacement)
          const prepends = scheme === 'always' || (scheme === 'first' && piece.originalStart === 0)
          if (prepends && !piece.text.startsWith(replacement)) piece.prepend(replacement)
          return splits ? splitAt(piece, occurrences(piece.text, replacement), 'MergedWithNext') : [piece]
        }),
      dependsOnStart: scheme === 'first',
      safeSplitBefore: (lead) => (lead !== ' ' && lead !== replacement ? undefined : splits ? '' : replacement),
    }
  },
})
