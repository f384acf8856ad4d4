// The settings in which two recipes differ, nested ones by their path.

/** A setting that differs. */
export interface SettingChange {
  /** `optimizer.beta2` */
  path: string
  before: unknown
  after: unknown
  kind: 'added' | 'removed' | 'changed'
}

type Fields = Record<string, unknown>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Every setting that differs, by path. */
export const changesBetween = (before: Fields, after: Fields, prefix = ''): SettingChange[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((name): SettingChange[] => {
    const [a, b] = [before[name], after[name]]
    const path = `${prefix}${name}`
    if (isFields(a) && isFields(b)) return changesBetween(a, b, `${path}.`)
    if (isEqual(a, b)) return []
    return [{ path, before: a, after: b, kind: a === undefined ? 'added' : b === undefined ? 'removed' : 'changed' }]
  })
