// Splits of records for cross-validation and repeated evaluation: parts with equal shares of each label, in which copies and groups stay
// together. Independent of what is learned.
import { ConfigError, sha256 } from '../../core/index.ts'
import type { TaskRecord } from '../../tasks/index.ts'
import { expectBothParts, splitKey } from '../examples/run-data.ts'

interface SplitSettings {
  /** Number of parts. */
  folds?: number | undefined
  /** The part that validates, from 0. */
  fold?: number | undefined
  /** Number of the random split, from 0. */
  repeat?: number | undefined
}

/** Whether a recipe splits its data so, instead of by a hash of each record alone. */
export const isSplit = (split: SplitSettings): boolean => Object.values(split).some((value) => value !== undefined)

/** @throws ConfigError for settings that do not fit each other */
export const expectSplit = (
  { folds, fold, repeat }: SplitSettings,
  {
    validation,
    validationShare,
    exampleCache,
  }: { validation?: string | undefined; validationShare: number; exampleCache: string },
  defaultShare: number,
): void => {
  if (!isSplit({ folds, fold, repeat })) return
  const faults: string[] = []
  if (validation !== undefined)
    faults.push('Expected no `validation` with `split`, which divides `data` itself. Remove one of them.')
  if (folds !== undefined && fold === undefined)
    faults.push(
      `\`split.folds\` needs the part that validates: set \`split.fold\` (0 to ${folds - 1}), or run all of them: \`sweep --folds ${folds}\`.`,
    )
  if (fold !== undefined && folds === undefined)
    faults.push('`split.fold` needs the number of parts: set `split.folds`.')
  if (fold !== undefined && folds !== undefined && fold >= folds)
    faults.push(`Expected 0 to ${folds - 1} for \`split.fold\`, got ${fold}.`)
  if (folds !== undefined && validationShare !== defaultShare)
    faults.push('Expected no `validationShare` with `split.folds`, which says how much validates. Remove it.')
  if (exampleCache === 'on')
    faults.push('Expected `exampleCache` auto or off with `split`, which needs all records in memory, got on.')
  if (faults.length > 0) throw new ConfigError(faults)
}

/** Records that stay together. */
interface Unit {
  hash: string
  stratum: string
  records: number[]
}

/** Units by stratum, each in the random order of the split; large ones first, which fills parts evenly. */
const strataOf = <Record extends TaskRecord>(
  records: readonly Record[],
  stratumOf: (record: Record) => string,
  repeat: number,
): Unit[][] => {
  const units = new Map<string, Unit>()
  records.forEach((record, i) => {
    const key = splitKey(record)
    const unit = units.get(key)
    if (unit === undefined)
      units.set(key, { hash: sha256(`${repeat}\0${key}`), stratum: stratumOf(record), records: [i] })
    else unit.records.push(i)
  })
  const strata = new Map<string, Unit[]>()
  for (const unit of units.values()) strata.set(unit.stratum, [...(strata.get(unit.stratum) ?? []), unit])
  const inOrder = (a: Unit, b: Unit) => b.records.length - a.records.length || (a.hash < b.hash ? -1 : 1)
  return [...strata].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, own]) => own.sort(inOrder))
}

/** The part of each record: the one that has fewest of its label, and of those the one that has fewest at all. */
const assignFolds = (strata: readonly Unit[][], records: number, folds: number): Int32Array => {
  const parts = new Int32Array(records)
  const totals = new Array<number>(folds).fill(0)
  for (const units of strata) {
    const counts = new Array<number>(folds).fill(0)
    for (const unit of units) {
      let part = 0
      for (let other = 1; other < folds; other++)
        if (counts[other] < counts[part] || (counts[other] === counts[part] && totals[other] < totals[part]))
          part = other
      counts[part] += unit.records.length
      totals[part] += unit.records.length
      for (const record of unit.records) parts[record] = part
    }
  }
  return parts
}

/** 0 for the records that validate and 1 for the others: in each stratum as close to the share as its units allow. */
const assignShare = (strata: readonly Unit[][], records: number, share: number): Int32Array => {
  const parts = new Int32Array(records).fill(1)
  let seen = 0
  let validated = 0
  for (const units of strata) {
    seen += units.reduce((sum, unit) => sum + unit.records.length, 0)
    const wanted = Math.round(share * seen)
    for (const unit of units) {
      if (validated + unit.records.length > wanted) continue
      validated += unit.records.length
      for (const record of unit.records) parts[record] = 0
    }
  }
  return parts
}

/**
 * Splits records into those that train and those that validate.
 * @param stratumOf label of a record, of which both parts get equal shares; one and the same where records have none
 * @throws DataError when a part is empty
 */
export const splitByLabel = <Record extends TaskRecord>(
  records: readonly Record[],
  { folds, fold = 0, repeat = 0 }: SplitSettings,
  validationShare: number,
  stratumOf: (record: Record) => string,
): { train: Record[]; validation: Record[] } => {
  const strata = strataOf(records, stratumOf, repeat)
  const parts =
    folds === undefined
      ? assignShare(strata, records.length, validationShare)
      : assignFolds(strata, records.length, folds)
  const validated = folds === undefined ? 0 : fold
  const train = records.filter((_, i) => parts[i] !== validated)
  const validation = records.filter((_, i) => parts[i] === validated)
  expectBothParts(train.length, validation.length)
  return { train, validation }
}
