// Character classes as in the Rust `tokenizers` crate. The crate's category tables are older than V8's, so characters
// added to Unicode since then are listed here and keep the crate's class.

const COMPUTED = 1
/** Class bit of letters (L). */
export const LETTER = 2
/** Class bit of numeric characters (N). */
export const NUMBER = 4
/** Class bit of white space. */
export const WHITE_SPACE = 8
/** Class bit of punctuation (P and ASCII symbols). */
export const PUNCTUATION = 16
/** Class bit of control, format and private-use characters. */
export const CONTROL = 32
/** Class bit of nonspacing marks (Mn). */
export const NONSPACING_MARK = 64
/** Class bit of all marks (M). */
export const MARK = 128

/** Ranges of code points from a list in hexadecimal. */
export const codeRanges = (list: string): readonly (readonly [number, number])[] =>
  list.split(' ').map((range) => {
    const [first, last = first] = range.split('-').map((hex) => Number.parseInt(hex, 16))
    return [first, last] as const
  })

// Ranges (hexadecimal) in which the crate's category tables and JavaScript's disagree; found by testing every
// code point (npm tokenizers 0.23.2, Node 20 with Unicode 17).
const NEWER_PUNCTUATION = codeRanges(
  '61d 9fd a76 c77 c84 166d 1b4e-1b4f 1b7d-1b7f 2e43-2e4f 2e52-2e5d 10d6e 10ead 10ed0 10f55-10f59 10f86-10f89 111c9 113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 11660-1166c 116b9 1183b 11944-11946 119e2 11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff 12ff1-12ff2 16d6d-16d6f 16e97-16e9a 16fe2 1e5ff 1e95e-1e95f',
)
const NEWER_CONTROL = codeRanges('890-891 8e2 110cd 13430-1343f')
const NEWER_NONSPACING_MARK = codeRanges(
  '7fd 897-89f 8ca-8e1 9fe afa-aff b55 c04 c3c d00 d3b-d3c d81 eba ece 1734 180f 1885-1886 1abf-1add 1ae0-1aeb 1df6-1dfb a82c a8c5 a8ff a9bd 10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2 111c9 111cf 1123e 11241 1133b 113bb-113c0 113ce 113d0 113d2 113e1-113e2 11438-1143f 11442-11444 11446 1145e 1171e 1182f-11837 11839-1183a 1193b-1193c 1193e 11943 119d4-119d7 119da-119db 119e0 11a01-11a0a 11a33-11a38 11a3b-11a3e 11a47 11a51-11a56 11a59-11a5b 11a8a-11a96 11a98-11a99 11b60 11b62-11b64 11b66 11c30-11c36 11c38-11c3d 11c3f 11c92-11ca7 11caa-11cb0 11cb2-11cb3 11cb5-11cb6 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d90-11d91 11d95 11d97 11ef3-11ef4 11f00-11f01 11f36-11f3a 11f40 11f42 11f5a 13440 13447-13455 1611e-16129 1612d-1612f 16f4f 16fe4 1cf00-1cf2d 1cf30-1cf46 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5 1e944-1e94a',
)
const NEWER_MARK = codeRanges(
  '7fd 897-89f 8ca-8d3 9fe afa-aff b55 c04 c3c cf3 d00 d3b-d3c d81 eba ece 1715 180f 1abf-1add 1ae0-1aeb 1cf2-1cf3 1cf7 1df6-1dfa a82c a8ff 10d24-10d27 10d69-10d6d 10eab-10eac 10efa-10eff 10f46-10f50 10f82-10f85 11070 11073-11074 110c2 11145-11146 111c9 111ce-111cf 11241 1133b 113b8-113c0 113c2 113c5 113c7-113ca 113cc-113d0 113d2 113e1-113e2 1145e 1182c-1183a 11930-11935 11937-11938 1193b-1193e 11940 11942-11943 119d1-119d7 119da-119e0 119e4 11a01-11a0a 11a33-11a39 11a3b-11a3e 11a47 11a51-11a5b 11a8a-11a99 11b60-11b67 11d31-11d36 11d3a 11d3c-11d3d 11d3f-11d45 11d47 11d8a-11d8e 11d90-11d91 11d93-11d97 11ef3-11ef6 11f00-11f01 11f03 11f34-11f3a 11f3e-11f42 11f5a 13440 13447-13455 1611e-1612f 16f4f 16f7f-16f87 16fe4 16ff0-16ff1 1cf00-1cf2d 1cf30-1cf46 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5',
)

const within = (list: readonly (readonly [number, number])[], code: number): boolean =>
  list.some(([first, last]) => code >= first && code <= last)

// Class bits by code point; zero until computed.
const table = new Uint8Array(0x110000)

/** The class bits of a code point. A surrogate has none. */
export const classOf = (code: number): number => table[code] || classify(code)

const classify = (code: number): number => {
  const character = String.fromCodePoint(code)
  let bits = COMPUTED
  if (code < 0xd800 || code > 0xdfff) {
    if (/\p{L}/u.test(character)) bits |= LETTER
    else if (/\p{N}/u.test(character)) bits |= NUMBER
    else if (/\p{White_Space}/u.test(character)) bits |= WHITE_SPACE
    if (/[!-/:-@[-`{-~]|\p{P}/u.test(character) !== within(NEWER_PUNCTUATION, code)) bits |= PUNCTUATION
    if (/[\p{Cc}\p{Cf}\p{Co}]/u.test(character) !== within(NEWER_CONTROL, code)) bits |= CONTROL
    if (/\p{Mn}/u.test(character) !== within(NEWER_NONSPACING_MARK, code)) bits |= NONSPACING_MARK
    if (/\p{M}/u.test(character) !== within(NEWER_MARK, code)) bits |= MARK
  }
  table[code] = bits
  return bits
}

/** The class bits of the character that starts at `index` of UTF-16 `units`. */
export const classAt = (units: Uint16Array, index: number, limit: number): number => {
  const unit = units[index]
  if (unit < 0xd800 || unit > 0xdbff || index + 1 >= limit) return classOf(unit)
  const low = units[index + 1]
  if (low < 0xdc00 || low > 0xdfff) return COMPUTED
  return classOf(((unit - 0xd800) << 10) + (low - 0xdc00) + 0x10000)
}

/** Whether a character is white space. */
export const isWhiteSpace = (character: string): boolean => (classOf(character.codePointAt(0)!) & WHITE_SPACE) !== 0

/** Lowercases each character independently, so that a final sigma is not special, as in the crate. */
export const lowerCase = (text: string): string => {
  if (!text.includes('Σ')) return text.toLowerCase()
  let result = ''
  for (const character of text) result += character.toLowerCase()
  return result
}
