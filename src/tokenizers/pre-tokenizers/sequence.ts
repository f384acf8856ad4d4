// The Sequence pre-tokenizer: applies several pre-tokenizers in order.
import { safeSplitBeforeAll } from '../split-points.ts'
import { definePreTokenizer, type PreTokenizer } from './pre-tokenizer.ts'
import { nestedScanner, type Scanner } from './scanner.ts'

/** One scanner for all parts, if each of them only splits; only the last part may edit text. */
const joinedScanner = (parts: readonly PreTokenizer[]): (() => Scanner) | undefined => {
  for (const [i, part] of parts.entries()) {
    if (part.scanner === undefined) return undefined
    if (i > 0 && (!part.scanner().limited || part.prefix !== undefined)) return undefined
    if (i < parts.length - 1 && (part.finish !== undefined || part.prefix !== undefined)) return undefined
  }
  if (parts.length === 0) return undefined
  return () => parts.map((part) => part.scanner!()).reduce((outer, inner) => nestedScanner(outer, inner))
}

/** Applies pre-tokenizers in order. */
export const preTokenizerSequence = definePreTokenizer({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('pretokenizers')
    const parts = fields.list('pretokenizers').map((value, i) => nested(value, `${where}[${i}]`))
    const scanner = joinedScanner(parts)
    const last = parts.at(-1)
    return {
      split: (pieces) => parts.reduce((now, part) => part.split(now).filter((piece) => piece.text !== ''), [...pieces]),
      dependsOnStart: parts.some((part) => part.dependsOnStart),
      safeSplitBefore: (lead) => safeSplitBeforeAll(parts, lead),
      ...(scanner === undefined ? {} : { scanner, finish: last?.finish }),
      ...(scanner !== undefined && last?.prefix !== undefined ? { prefix: last.prefix } : {}),
    }
  },
})
