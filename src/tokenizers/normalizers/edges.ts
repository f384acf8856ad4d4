// Normalizers of the start and end of a text: Strip, Prepend, Append.
import { isWhiteSpace } from '../unicode.ts'
import { defineNormalizer } from './normalizer.ts'

const strippedSpan = (text: string, left: boolean, right: boolean): [number, number] => {
  let start = 0
  let end = text.length
  // All white space is in the basic plane, so UTF-16 units are characters here.
  if (left) while (start < end && isWhiteSpace(text[start])) start++
  if (right) while (end > start && isWhiteSpace(text[end - 1])) end--
  return [start, end]
}

/** Removes white space at the start or end. */
export const strip = defineNormalizer({
  type: 'Strip',
  read(fields) {
    const left = fields.boolean('strip_left')
    const right = fields.boolean('strip_right')
    return {
      normalize(text, edges) {
        const [start, end] = strippedSpan(text, left && edges.first, right && edges.last)
        return text.slice(start, end)
      },
      align(piece) {
        const [start, end] = strippedSpan(piece.text, left, right)
        const { length } = piece.text
        if (end < length) piece.replace([[end, length]], '')
        if (start > 0) piece.replace([[0, start]], '')
      },
      safeSplitBefore: (lead) => lead,
      ...(right ? { dependsOn: 'end' as const } : {}),
    }
  },
})

/** Prepends a string to a text that is not empty. */
export const prepend = defineNormalizer({
  type: 'Prepend',
  read(fields) {
    const content = fields.string('prepend')
    return {
      normalize: (text, edges) => (text === '' || !edges.first ? text : content + text),
      align: (piece) => piece.prepend(content),
      safeSplitBefore: (lead) => lead,
    }
  },
})

/** Appends a string to a text that is not empty. */
export const append = defineNormalizer({
  type: 'Append',
  read(fields) {
    const content = fields.string('append')
    return {
      normalize: (text, edges) => (text === '' || !edges.last ? text : text + content),
      align(piece) {
        if (piece.text !== '') piece.append(content)
      },
    }
  },
})
