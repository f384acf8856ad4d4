// The normalizers of tokenizer.json, by type.

import { toByteLevel } from '../byte-level.ts'
import { type ComponentType, componentReader, readParts, safeSplitBeforeAll } from '../components.ts'
import { checkExpansion, readPattern } from '../pattern.ts'
import { isWhiteSpace, lowerCase } from '../unicode.ts'
import { bertNormalizer, nmt, stripAccents } from './cleaning.ts'
import type { Normalizer } from './normalizer.ts'
import { precompiled } from './precompiled.ts'
import { unicodeForm } from './unicode-forms.ts'

export { type Normalizer, type SegmentEdges, WHOLE_SEGMENT } from './normalizer.ts'

/** Appends a string to a text that is not empty. */
const append: ComponentType<Normalizer> = (fields) => {
  const content = fields.string('append')
  return {
    normalize: (text, edges) => (text === '' || !edges.last ? text : text + content),
    align(piece) {
      if (piece.text !== '') piece.append(content)
    },
  }
}

/** Prepends a string to a text that is not empty. */
const prepend: ComponentType<Normalizer> = (fields) => {
  const content = fields.string('prepend')
  return {
    normalize: (text, edges) => (text === '' || !edges.first ? text : content + text),
    align: (piece) => piece.prepend(content),
    safeSplitBefore: (lead) => lead,
  }
}

const strippedSpan = (text: string, left: boolean, right: boolean): [number, number] => {
  let start = 0
  let end = text.length
  // All white space is in the basic plane, so UTF-16 units are characters here.
  if (left) while (start < end && isWhiteSpace(text[start])) start++
  if (right) while (end > start && isWhiteSpace(text[end - 1])) end--
  return [start, end]
}

/** Removes white space at the start or end. */
const strip: ComponentType<Normalizer> = (fields) => {
  const left = fields.boolean('strip_left')
  const right = fields.boolean('strip_right')
  return {
    normalize: (text, edges) => text.slice(...strippedSpan(text, left && edges.first, right && edges.last)),
    align(piece) {
      const [start, end] = strippedSpan(piece.text, left, right)
      const { length } = piece.text
      if (end < length) piece.replace([[end, length]], '')
      if (start > 0) piece.replace([[0, start]], '')
    },
    safeSplitBefore: (lead) => lead,
    ...(right ? { dependsOn: 'end' as const } : {}),
  }
}

const SPACE_RUNS = new Set([' {2,}', ' +', '[ ]{2,}'])

/** Replaces the matches of a string or a regular expression by a string. */
const replace: ComponentType<Normalizer> = (fields) => {
  const pattern = readPattern(fields, 'pattern')
  const content = fields.string('content')
  const literal = pattern.isLiteral ? pattern.source : undefined
  return {
    normalize: (text) => pattern.replace(text, content),
    align: (piece) => piece.replace(pattern.matchesToReplace(piece.text, content), content),
    safeSplitBefore(lead) {
      if (lead === '') return lead
      // A run of spaces is never split, because split points are only before its first space.
      if (literal === undefined) {
        if (lead !== ' ' || !SPACE_RUNS.has(pattern.source) || [...content].length !== 1) return undefined
        return content === ' ' ? ' ' : ` ${content}`
      }
      if (literal === lead) return content === '' || [...content].length > 1 ? undefined : content
      // A match across the split point would hold the lead after its first character.
      return literal === '' || literal.includes(lead) || content.includes(lead) ? undefined : lead
    },
  }
}

/** Applies normalizers in order. */
const sequence: ComponentType<Normalizer> = (fields, nested) => {
  const where = fields.at('normalizers')
  const parts = readParts(fields, 'normalizers', nested)
  return {
    normalize(text, edges) {
      let normalized = text
      for (const [i, part] of parts.entries()) {
        normalized = part.normalize(normalized, edges)
        checkExpansion(text.length, normalized.length, `${where}[${i}]`)
      }
      return normalized
    },
    align(piece) {
      const { length } = piece.text
      for (const [i, part] of parts.entries()) {
        part.align(piece)
        checkExpansion(length, piece.text.length, `${where}[${i}]`)
      }
    },
    safeSplitBefore: (lead) => safeSplitBeforeAll(parts, lead),
    splitsSafelyAtAscii: parts.every((part) => part.splitsSafelyAtAscii),
    ...(parts.some((part) => part.dependsOn) ? { dependsOn: 'end' as const } : {}),
  }
}

/** Lowercases the text, character by character. */
const lowercase: Normalizer = {
  normalize: lowerCase,
  align: (piece) => piece.mapCharacters((character) => character.toLowerCase()),
  safeSplitBefore: (lead) => lead,
  splitsSafelyAtAscii: true,
}

/** Builds a normalizer from its JSON form in tokenizer.json. Throws DataError. */
export const readNormalizer = componentReader<Normalizer>('normalizer', {
  Append: append,
  BertNormalizer: bertNormalizer,
  ByteLevel: () => ({ normalize: toByteLevel, align: (piece) => piece.toByteLevel() }),
  Lowercase: () => lowercase,
  NFC: () => unicodeForm('NFC'),
  NFD: () => unicodeForm('NFD'),
  NFKC: () => unicodeForm('NFKC'),
  NFKD: () => unicodeForm('NFKD'),
  Nmt: () => nmt,
  Sequence: sequence,
  Precompiled: precompiled,
  Prepend: prepend,
  Replace: replace,
  Strip: strip,
  StripAccents: () => stripAccents,
})
