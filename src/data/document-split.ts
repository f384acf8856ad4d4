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
export const isForValidation = (text: string, { share, seed }: ValidationSplit): boolean => {
  if (share <= 0) return false
  return Number.parseInt(sha256(`${seed}\0${sha256(plainUnits(text))}`).slice(0, 12), 16) < share * 2 ** 48
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

/** The text without what the split looks past, unit by unit: regular expressions would take longer than encoding does. */
const plainUnits = (text: string): Uint8Array => {
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
