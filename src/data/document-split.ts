// Assigns documents to the train or validation split by a hash of their text. Independent of files.
import { sha256 } from '../core/index.ts'

/** Settings of the split into training and validation documents. */
export interface ValidationSplit {
  /** Share of validation documents, 0 to 1. */
  share: number
  /** Random seed of the choice. */
  seed: string
}

/**
 * The position of a document in the order of the validation split, 0 to 1: documents below the share are validation
 * documents. Texts that differ only in case, white space or Unicode normalization form have the same rank, so that no
 * copy of a training document is in validation.
 */
export const validationRank = (text: string, seed: string): number =>
  Number.parseInt(sha256(`${seed}\0${sha256(foldText(text))}`).slice(0, 12), 16) / 2 ** 48

/** Whether a document is a validation document; see `validationRank`. */
export const isValidationDocument = (text: string, { share, seed }: ValidationSplit): boolean => {
  if (share <= 0) return false
  return validationRank(text, seed) < share
}

const SPACE = 0x20
let lowerCase: Uint16Array | undefined

/** Each UTF-16 unit in lower case, and every kind of white space as a space. */
const lowerCaseTable = (): Uint16Array => {
  const table = new Uint16Array(0x10000)
  for (let unit = 0; unit < table.length; unit++) {
    const character = String.fromCharCode(unit)
    const lower = character.toLowerCase()
    table[unit] = /\s/.test(character) ? SPACE : lower.length === 1 ? lower.charCodeAt(0) : unit
  }
  return table
}

/**
 * The text without differences that the split ignores. Unit by unit, because regular expressions are slower than
 * encoding.
 */
const foldText = (text: string): Uint8Array => {
  lowerCase ??= lowerCaseTable()
  const table = lowerCase
  const normal = text.normalize('NFKC')
  const units = new Uint16Array(normal.length)
  let length = 0
  for (let i = 0; i < normal.length; i++) {
    const unit = table[normal.charCodeAt(i)]
    if (unit === SPACE && (length === 0 || units[length - 1] === SPACE)) continue
    units[length++] = unit
  }
  if (length > 0 && units[length - 1] === SPACE) length--
  return new Uint8Array(units.buffer, 0, length * 2)
}
