// Values of a run as they may leave this machine: without its folders, passwords and what may be a secret.
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, resolve, sep } from 'node:path'

/** Names of settings whose value may be a secret. */
const secret = /api[-_]?key|secret|password|passwd|authorization|^headers?$|^token$|credential/i

/** Folders of this machine that the values name, longest first. */
const foldersIn = (value: unknown, roots: readonly string[]): string[] => {
  const found = new Set(roots.map((root) => resolve(root)))
  const visit = (each: unknown): void => {
    if (typeof each === 'string' && isAbsolute(each) && !each.includes('\n')) found.add(dirname(each))
    else if (Array.isArray(each)) each.forEach(visit)
    else if (typeof each === 'object' && each !== null)
      for (const [name, inner] of Object.entries(each)) {
        visit(name)
        visit(inner)
      }
  }
  visit(value)
  // The root of the file system is in every path, but is no place.
  return [...found].filter((folder) => dirname(folder) !== folder).sort((a, b) => b.length - a.length)
}

/** The value without folders of this machine, passwords in addresses, and settings that may be secrets. */
export const withoutPlaces = (value: unknown, roots: readonly string[] = []): unknown => {
  const folders = foldersIn(value, [...roots, process.cwd(), homedir()])
  const clean = (text: string): string => {
    let result = text.replace(/(\w+:\/\/)[^\s/@]+@/g, '$1')
    for (const folder of folders) {
      result = result.replaceAll(`${folder}${sep}`, '')
      if (result === folder) result = basename(folder)
    }
    return result
  }
  const visit = (each: unknown): unknown => {
    if (typeof each === 'string') return clean(each)
    if (Array.isArray(each)) return each.map(visit)
    if (typeof each !== 'object' || each === null) return each
    return Object.fromEntries(
      Object.entries(each).map(([name, inner]) => [
        clean(name),
        secret.test(name) && inner !== null && typeof inner !== 'number' && typeof inner !== 'boolean'
          ? '(left out)'
          : visit(inner),
      ]),
    )
  }
  return visit(value)
}
