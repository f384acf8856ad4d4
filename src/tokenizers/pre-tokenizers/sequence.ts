// Runs several pre-tokenizers one after the other.
import { cutsBefore } from '../cuts.ts'
import { definePreTokenizer, type PreTokenizer } from './pre-tokenizer.ts'
import { nestedScanner, type Scanner } from './scanner.ts'

/** One scanner for all parts, when each only cuts; a part that edits text must be the last. */
const joinedScanner = (parts: readonly PreTokenizer[]): (() => Scanner) | undefined => {
  for (const [i, part] of parts.entries()) {
    if (part.scanner === undefined) return undefined
    if (i > 0 && (!part.scanner().limited || part.prefix !== undefined)) return undefined
    if (i < parts.length - 1 && (part.finish !== undefined || part.prefix !== undefined)) return undefined
  }
  if (parts.length === 0) return undefined
  return () => parts.map((part) => part.scanner!()).reduce((outer, inner) => nestedScanner(outer, inner))
}

export const preTokenizerSequence = definePreTokenizer({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('pretokenizers')
    const parts = fields.list('pretokenizers').map((value, i) => nested(value, `${where}[${i}]`))
    const scanner = joinedScanner(parts)
    const last = parts.at(-1)
    return {
      split: (pieces) => parts.reduce((now, part) => part.split(now).filter((piece) => piece.text !== ''), [...pieces]),
      mindsStart: parts.some((part) => part.mindsStart),
      cutBefore: (lead) => cutsBefore(parts, lead),
      ...(scanner === undefined ? {} : { scanner, finish: last?.finish }),
      ...(scanner !== undefined && last?.prefix !== undefined ? { prefix: last.prefix } : {}),
    }
  },
})
