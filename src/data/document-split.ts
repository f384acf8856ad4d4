// Decides by a document's text which side of the train/validation split it is on. It knows no files.
import { sha256 } from '../core/index.ts'

export interface ValidationSplit {
  /** Share of the documents that goes to validation. */
  share: number
  /** Another seed chooses other documents. */
  seed: string
}

/**
 * True when the document is for validation. Texts that differ only in case, white space or Unicode form are always on one
 * side, so that a copy of a training document is never validated on.
 */
export function isForValidation(text: string, { share, seed }: ValidationSplit): boolean {
  if (share <= 0) return false
  const plain = text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim()
  return Number.parseInt(sha256(`${seed}\0${plain}`).slice(0, 12), 16) < share * 2 ** 48
}
