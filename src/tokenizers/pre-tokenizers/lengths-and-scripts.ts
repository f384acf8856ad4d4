// Pre-tokenizers that cut every so many characters, or where the script of the text changes.
import { refuse } from '../fields.ts'
import type { Piece } from '../text.ts'
import { definePreTokenizer } from './pre-tokenizer.ts'

export const fixedLength = definePreTokenizer({
  type: 'FixedLength',
  read(fields) {
    const length = fields.integer('length', 5)
    if (length === 0) refuse('at least 1', fields.at('length'), length)
    return {
      split: (pieces) =>
        pieces.flatMap((piece) => {
          const parts: (typeof piece)[] = []
          let start = 0
          let at = 0
          let count = 0
          for (const character of piece.text) {
            at += character.length
            if (++count % length === 0 || at === piece.text.length) {
              parts.push(piece.slice(start, at) as typeof piece)
              start = at
            }
          }
          return parts
        }),
    }
  },
})

const ANY = 'Any'
// Scripts that SentencePiece tells apart; the rest is asked for in turn.
const SCRIPTS =
  'Latin Han Hiragana Katakana Common Inherited Cyrillic Greek Arabic Hebrew Thai Hangul Devanagari Bengali Tamil Telugu Kannada Malayalam Gujarati Gurmukhi Oriya Sinhala Georgian Armenian Ethiopic Khmer Lao Myanmar Tibetan Mongolian'
    .split(' ')
    .map((name) => [name, new RegExp(`^\\p{Script=${name}}$`, 'u')] as const)
const memo = new Map<string, string>()

function scriptOf(character: string): string {
  if (character === ' ') return ANY
  if (character === 'ー') return 'Han'
  let script = memo.get(character)
  if (script === undefined) {
    script = SCRIPTS.find(([, regex]) => regex.test(character))?.[0] ?? otherScript(character)
    if (script === 'Hiragana' || script === 'Katakana') script = 'Han'
    memo.set(character, script)
  }
  return script
}

// Scripts beyond the list, found by what V8 knows; a character of none of them is of no script.
const OTHER_SCRIPTS =
  'Adlam Ahom Avestan Balinese Bamum Batak Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret Duployan Egyptian_Hieroglyphs Elbasan Glagolitic Gothic Grantha Hanunoo Hatran Imperial_Aramaic Javanese Kaithi Kayah_Li Kharoshthi Khojki Khudawadi Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mro Multani Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian Old_Turkic Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tangut Thaana Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi'.split(
    ' ',
  )

function otherScript(character: string): string {
  return OTHER_SCRIPTS.find((name) => new RegExp(`^\\p{Script=${name}}$`, 'u').test(character)) ?? ANY
}

export const unicodeScripts = definePreTokenizer({
  type: 'UnicodeScripts',
  read: () => ({
    split: <P extends Piece>(pieces: readonly P[]) =>
      pieces.flatMap((piece) => {
        const cuts: number[] = []
        let last: string | undefined
        let at = 0
        for (const character of piece.text) {
          const script = scriptOf(character)
          if (script !== ANY) {
            if (last !== script) cuts.push(at)
            last = script
          }
          at += character.length
        }
        cuts.push(piece.text.length)
        // What comes before the first character with a script is lost, as in the crate.
        return cuts.slice(1).map((end, i) => piece.slice(cuts[i], end) as P)
      }),
  }),
})
