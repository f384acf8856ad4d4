// Expands a path (a file, a folder, a glob, or a list of paths in a file) to files, sorted by name so that the order
// does not depend on the file system.
import { type Dirent, existsSync, statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'
import { byCodeUnits, DataError } from '../core/index.ts'

const compressions = ['', '.gz', '.bz2', '.zst']

/** The scheme of an address such as `s3a://bucket/folder`; undefined for a path of a file system, on which names may have colons too. */
export const schemeOf = (path: string): string | undefined =>
  existsSync(path) ? undefined : /^([a-z][a-z0-9+.-]+):\/\//i.exec(path)?.[1]

/**
 * The files that a path names. A folder is searched recursively for files with one of the extensions; `*`, `**`, `?`
 * and `{a,b}` form a glob; `@list.txt` names a file with one path a line, relative to that file.
 * @throws DataError when nothing is found
 */
export const expandFiles = async (path: string, extensions: readonly string[]): Promise<string[]> => {
  const scheme = schemeOf(path)
  if (scheme !== undefined)
    throw new DataError(
      `Expected a path of a file system, got an address of ${scheme}, which is not read. Mount it, or copy it to a folder that all machines share.`,
      path,
    )
  if (path.startsWith('@') && !existsSync(path)) return expandList(path.slice(1), extensions)
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) return [path]
    const found = await walk(path)
    const isArrow = found.some(isArrowFile)
    const files = found.filter((file) => matchesExtension(file, extensions) && !describesData(file, isArrow))
    if (files.length === 0) {
      if (isArrow) throw new DataError(arrowAdvice, path)
      throw new DataError(
        `Expected files ending in ${extensions.join(', ')} (plain, .gz, .bz2 or .zst) in the folder, got none. Name the files, or check the kind of source.`,
        path,
      )
    }
    return files.sort(byCodeUnits)
  }
  if (isGlob(path)) {
    const base = globBase(path)
    const pattern = filePattern(path)
    const files = existsSync(base) ? (await walk(base)).filter((file) => pattern.test(file)) : []
    if (files.length === 0) throw new DataError('The pattern matches no files. Check the path.', path)
    return files.sort(byCodeUnits)
  }
  throw new DataError('Expected a file, a folder or a glob, got a path that does not exist. Check the path.', path)
}

/** Whether a file is in the format that `save_to_disk` of Hugging Face's datasets writes. */
export const isArrowFile = (file: string): boolean => file.toLowerCase().endsWith('.arrow')

/** What to do with Arrow files. */
export const arrowAdvice =
  'Expected files of records, got Arrow files, as `save_to_disk` of the Python package datasets writes them. Write Parquet files with its `to_parquet`.'

/** Whether a file describes a data set of Hugging Face: it has no records itself. */
const describesData = (file: string, besideArrow: boolean): boolean =>
  ['dataset_info.json', 'dataset_infos.json', 'dataset_dict.json', ...(besideArrow ? ['state.json'] : [])].includes(
    basename(file),
  )

/** Whether a path is a pattern of paths. */
export const isGlob = (path: string): boolean => /[*?{]/.test(path)

/** The paths and addresses in a file with one a line; relative paths are relative to the file. @throws DataError for a list without any */
export const listEntries = async (path: string): Promise<string[]> => {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError('Expected a file with one path a line, got none that can be read. Check the path.', path)
  })
  const entries = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((entry) => entry !== '' && !entry.startsWith('#'))
  if (entries.length === 0) throw new DataError('Expected a file with one path a line, got an empty list.', path)
  return entries.map((entry) =>
    isAbsolute(entry) || schemeOf(entry) !== undefined ? entry : join(dirname(path), entry),
  )
}

const expandList = async (path: string, extensions: readonly string[]): Promise<string[]> => {
  const files: string[] = []
  for (const entry of await listEntries(path)) files.push(...(await expandFiles(entry, extensions)))
  return files
}

const walk = async (folder: string, depth = 0): Promise<string[]> => {
  if (depth > 32) return []
  const entries: Dirent[] = await readdir(folder, { withFileTypes: true })
  const files: string[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    const kind = entry.isSymbolicLink() ? (existsSync(path) ? statSync(path) : undefined) : entry
    if (kind?.isDirectory()) files.push(...(entry.isSymbolicLink() ? [] : await walk(path, depth + 1)))
    else if (kind?.isFile()) files.push(path)
  }
  return files
}

/** Whether a file's name ends in one of the extensions, before that of a compression. */
export const matchesExtension = (file: string, extensions: readonly string[]): boolean => {
  const packed = file.toLowerCase()
  const compression = compressions.find((ending) => ending !== '' && packed.endsWith(ending)) ?? ''
  // Wikipedia names the parts of a dump by their first and last page: …xml-p10p30302.bz2.
  const name = packed.slice(0, packed.length - compression.length).replace(/-p\d+p\d+(?:-\w+)?$/, '')
  return extensions.some((extension) => name.endsWith(extension))
}

/** The folder of a pattern, which all that it matches is below. */
export const globBase = (pattern: string): string => {
  const parts = pattern.split(sep)
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => /[*?{]/.test(part)),
  )
  return fixed.length === 0 ? '.' : fixed.join(sep) || sep
}

/** The paths that a glob matches. */
export const filePattern = (glob: string): RegExp => {
  const relative = !isAbsolute(glob) && !glob.startsWith('./') && !glob.startsWith('../')
  let pattern = ''
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at]
    if (character === '*') {
      if (glob[at + 1] === '*') {
        at++
        if (glob[at + 1] === sep) at++
        pattern += '(?:.*/)?'
        if (at === glob.length - 1 && glob[at] === '*') pattern += '.*'
      } else pattern += '[^/]*'
    } else if (character === '?') pattern += '[^/]'
    else if (character === '{' && glob.includes('}', at)) {
      const end = glob.indexOf('}', at)
      const options = glob
        .slice(at + 1, end)
        .split(',')
        .map(escapePattern)
      pattern += `(?:${options.join('|')})`
      at = end
    } else pattern += escapePattern(character)
  }
  return new RegExp(`^${relative ? '(?:\\./)?' : ''}${normalizePrefix(pattern)}$`)
}

// `join` drops a leading "./", so the pattern drops it too.
const normalizePrefix = (pattern: string): string => (pattern.startsWith('\\./') ? pattern.slice(3) : pattern)

const escapePattern = (text: string): string =>
  text.replace(/[.*+?^${}()|[\]\\/]/g, (character) => (character === '/' ? '/' : `\\${character}`))
