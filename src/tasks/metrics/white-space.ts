// White space as Python's str.split and str.strip see it, which official scripts of metrics use. JavaScript's \s takes the byte order
// mark for a space and the separators U+001C to U+001F and U+0085 for letters.

const space = '[\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const spaces = new RegExp(`${space}+`, 'u')
const trailing = new RegExp(`${space}+$`, 'u')
const leading = new RegExp(`^${space}+`, 'u')

/** The parts between white space; none of them is empty. */
export const spacedWords = (text: string): string[] => text.split(spaces).filter((word) => word !== '')

export const trimmedEnd = (text: string): string => text.replace(trailing, '')

export const trimmed = (text: string): string => trimmedEnd(text).replace(leading, '')
