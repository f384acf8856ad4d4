// Pre-tokenizers that split after a fixed number of characters, or where the script of the text changes.
import type { ComponentType } from '../components.ts'
import { throwInvalid } from '../fields.ts'
import type { Piece } from '../text.ts'
import { codeRanges } from '../unicode.ts'
import type { PreTokenizer } from './pre-tokenizer.ts'

/** Splits after every `length` characters. */
export const fixedLength: ComponentType<PreTokenizer> = (fields) => {
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
}

const ANY = 'Any'
// Common scripts, tried first.
const SCRIPTS =
  'Latin Han Hiragana Katakana Common Inherited Cyrillic Greek Arabic Hebrew Thai Hangul Devanagari Bengali Tamil Telugu Kannada Malayalam Gujarati Gurmukhi Oriya Sinhala Georgian Armenian Ethiopic Khmer Lao Myanmar Tibetan Mongolian'
    .split(' ')
    .map((name) => [name, new RegExp(`^\\p{Script=${name}}$`, 'u')] as const)
// Scripts by character; starts with the four characters whose script has changed since the crate's table was made.
const memo = new Map([
  ['\u0589', 'Common'],
  ['\u061c', 'Common'],
  ['\u0953', 'Devanagari'],
  ['\u0954', 'Devanagari'],
])

// Characters newer than the crate's table (npm tokenizers 0.23.2), which have no script there; found by testing every
// code point (Node 20 with Unicode 17).
const NEWER = codeRanges(
  '560 588 5ef 61d 7fd-7ff 860-86a 870-891 897-89f 8b5 8be-8d3 9fc-9fe a76 afa-aff b55 c04 c3c c5c-c5d c77 c84 cdc-cdd cf3 d00 d04 d3b-d3c d81 e86 e89 e8c e8e-e93 e98 ea0 ea8-ea9 eac eba ece 170d 1715 171f 180f 1878 1abf-1add 1ae0-1aeb 1b4c 1b4e-1b4f 1b7d-1b7f 1c89-1c8a 1c90-1cba 1cbd-1cbf 1cf7 1cfa 1df6-1dfa 20bf-20c1 23ff 2427-2429 2b96-2b97 2bba-2bbc 2bc9 2bd2-2beb 2bf0-2bff 2c2f 2c5f 2e45-2e5d 2ffc-2fff 312e-312f 31bb-31bf 31e4-31e5 31ef 32ff 4db6-4dbf 9fd6-9fff a7af a7b8-a7dc a7f1-a7f6 a82c a8fe-a8ff ab66-ab6b fbc2-fbd2 fd40-fd4f fd90-fd91 fdc8-fdcf fdfe-fdff 1019c 1032d-1032f 10780-10785 10787-107b0 107b2-107ba 10a34-10a35 10a48 10ec2-10ec7 10ed0-10ed8 10efa-10eff 11070-11075 110c2 110cd 11144-11147 111ce-111cf 1123f-11241 1133b 1145a 1145e-11461 116b8-116b9 116d0-116e3 1171a 11740-11746 11ab0-11abf 11b00-11b09 11b60-11b67 11fb0 11fc0-11ff1 11fff 1342f-13455 13460-143fa 16f45-16f4a 16f4f 16f7f-16f87 16fe2-16fe3 16ff0-16ff6 187ed-187ff 18af3-18aff 18d00-18d1e 18d80-18df2 1aff0-1aff3 1aff5-1affb 1affd-1affe 1b002-1b122 1b132 1b150-1b152 1b155 1b164-1b167 1cc00-1ccfc 1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 1cf00-1cf2d 1cf30-1cf46 1cf50-1cfc3 1d1e9-1d1ea 1d2c0-1d2d3 1d2e0-1d2f3 1d372-1d378 1df00-1df1e 1df25-1df2a 1e030-1e06d 1e08f 1e7e0-1e7e6 1e7e8-1e7eb 1e7ed-1e7ee 1e7f0-1e7fe 1e94b 1ec71-1ecb4 1ed01-1ed3d 1f10d-1f10f 1f12f 1f16c-1f16f 1f1ad 1f260-1f265 1f6d3-1f6d8 1f6dc-1f6df 1f6f7-1f6fc 1f774-1f77f 1f7d5-1f7d9 1f7e0-1f7eb 1f7f0 1f8b0-1f8bb 1f8c0-1f8c1 1f8d0-1f8d8 1f900-1f90f 1f91f 1f928-1f92f 1f931-1f932 1f93f 1f94c-1f94f 1f95f-1f97f 1f992-1f9bf 1f9c1-1fa57 1fa60-1fa6d 1fa70-1fa7c 1fa80-1fa8a 1fa8e-1fac6 1fac8 1facd-1fadc 1fadf-1faea 1faef-1faf8 1fb00-1fb92 1fb94-1fbfa 2a6d7-2a6df 2b735-2b73f 2cea2-2cead 2ceb0-2ebe0 2ebf0-2ee5d 30000-3134a 31350-33479',
)

const scriptOf = (character: string): string => {
  if (character === ' ') return ANY
  if (character === 'ー') return 'Han'
  const code = character.codePointAt(0)!
  let script = memo.get(character)
  if (script === undefined) {
    script = NEWER.some(([first, last]) => code >= first && code <= last) ? ANY : undefined
    script ??= SCRIPTS.find(([, regex]) => regex.test(character))?.[0] ?? otherScript(character)
    if (script === 'Hiragana' || script === 'Katakana') script = 'Han'
    memo.set(character, script)
  }
  return script
}

// The other scripts that the crate distinguishes; a character of none of them has no script.
const OTHER_SCRIPTS =
  'Adlam Ahom Anatolian_Hieroglyphs Avestan Balinese Bamum Bassa_Vah Batak Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret Duployan Egyptian_Hieroglyphs Elbasan Glagolitic Gothic Grantha Hanunoo Hatran Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kayah_Li Kharoshthi Khojki Khudawadi Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mro Multani Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian Old_Turkic Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tangut Thaana Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi'.split(
    ' ',
  )

const otherScript = (character: string): string =>
  OTHER_SCRIPTS.find((name) => new RegExp(`^\\p{Script=${name}}$`, 'u').test(character)) ?? ANY

/** Splits where the Unicode script changes; Hiragana, Katakana and Han count as one script. */
export const unicodeScripts: ComponentType<PreTokenizer> = () => ({
  split: <P extends Piece>(pieces: readonly P[]) =>
    pieces.flatMap((piece) => {
      const starts: number[] = []
      let last: string | undefined
      let at = 0
      for (const character of piece.text) {
        const script = scriptOf(character)
        if (script !== ANY) {
          if (last !== script) starts.push(at)
          last = script
        }
        at += character.length
      }
      starts.push(piece.text.length)
      // Text before the first character with a script is dropped, as in the crate.
      return starts.slice(1).map((end, i) => piece.slice(starts[i], end) as P)
    }),
})
