// Pre-tokenizers that cut every so many characters, or where the script of the text changes.
import { throwInvalid } from '../fields.ts'
import type { Piece } from '../text.ts'
import { codeRanges } from '../unicode.ts'
import { definePreTokenizer } from './pre-tokenizer.ts'

export const fixedLength = definePreTokenizer({
  type: 'FixedLength',
  read(fields) {
    const length = fields.integer('length', 5)
    if (length === 0) throwInvalid('at least 1', fields.at('length'), length)
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
// Four characters whose script has changed since SentencePiece's table was made.
const memo = new Map([
  ['\u0589', 'Common'],
  ['\u061c', 'Common'],
  ['\u0953', 'Devanagari'],
  ['\u0954', 'Devanagari'],
])

// Characters of no script of their own (emoji above all) that are younger than the table, so that it lacks them.
const YOUNG = codeRanges(
  '1cf7 1cfa 20bf-20c1 23ff 2427-2429 2b96-2b97 2bba-2bbc 2bc9 2bd2-2beb 2bf0-2bff 2e45-2e5d 2ffc-2fff 31e4-31e5 31ef 32ff ab6a-ab6b 1019c 1cc00-1ccfc 1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 1cf50-1cfc3 1d1e9-1d1ea 1d2c0-1d2d3 1d2e0-1d2f3 1d372-1d378 1ec71-1ecb4 1ed01-1ed3d 1f10d-1f10f 1f12f 1f16c-1f16f 1f1ad 1f260-1f265 1f6d3-1f6d8 1f6dc-1f6df 1f6f7-1f6fc 1f774-1f77f 1f7d5-1f7d9 1f7e0-1f7eb 1f7f0 1f8b0-1f8bb 1f8c0-1f8c1 1f8d0-1f8d8 1f900-1f90f 1f91f 1f928-1f92f 1f931-1f932 1f93f 1f94c-1f94f 1f95f-1f97f 1f992-1f9bf 1f9c1-1fa57 1fa60-1fa6d 1fa70-1fa7c 1fa80-1fa8a 1fa8e-1fac6 1fac8 1facd-1fadc 1fadf-1faea 1faef-1faf8 1fb00-1fb92 1fb94-1fbfa',
)

const scriptOf = (character: string): string => {
  if (character === ' ') return ANY
  if (character === 'ー') return 'Han'
  const code = character.codePointAt(0)!
  let script = memo.get(character)
  if (script === undefined) {
    script = YOUNG.some(([first, last]) => code >= first && code <= last) ? ANY : undefined
    script ??= SCRIPTS.find(([, regex]) => regex.test(character))?.[0] ?? otherScript(character)
    if (script === 'Hiragana' || script === 'Katakana') script = 'Han'
    memo.set(character, script)
  }
  return script
}

// Scripts beyond the list, found by what V8 knows; a character of none of them is of no script.
const OTHER_SCRIPTS =
  'Adlam Ahom Anatolian_Hieroglyphs Avestan Balinese Bamum Bassa_Vah Batak Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret Duployan Egyptian_Hieroglyphs Elbasan Glagolitic Gothic Grantha Hanunoo Hatran Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kayah_Li Kharoshthi Khojki Khudawadi Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mro Multani Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian Old_Turkic Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tangut Thaana Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi'.split(
    ' ',
  )

const otherScript = (character: string): string =>
  OTHER_SCRIPTS.find((name) => new RegExp(`^\\p{Script=${name}}$`, 'u').test(character)) ?? ANY

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
