// White space as in Python's str.split and str.strip, which official scripts of metrics use. JavaScript's \s includes the byte order mark
// and excludes the separators U+001C to U+001F and U+0085.

const space = '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const spaces = new RegExp(`${space}+`, 'u')
const trailing = new RegExp(`${space}+$`, 'u')
const leading = new RegExp(`^${space}+`, 'u')

/** The non-empty parts between white space. */
export const spacedWords = (text: string): string[] => text.split(spaces).filter((word) => word !== '')

/** Without white space at the end. */
export const trimmedEnd = (text: string): string => text.replace(trailing, '')

/** Without white space at both ends. */
export const trimmed = (text: string): string => trimmedEnd(text).replace(leading, '')
