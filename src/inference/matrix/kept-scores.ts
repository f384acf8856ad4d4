// Scores of a matrix in a file, written as they are finished, so that a comparison that was stopped continues. Each belongs to hashes of the
// model, the records and the settings; what is damaged or belongs to others is computed again. Runs no model.
import { readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, packageVersion, sha256, sha256File, writeFileAtomic } from '../../core/index.ts'
import { onFirst, type ProcessGroup } from '../../distributed/index.ts'
import { expandFiles } from '../../files/index.ts'
import type { Interval } from '../../tasks/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import type { MatrixCell } from './compare-matrix.ts'

/** Scores that are computed once. */
export interface KeptScores {
  /**
   * The score of a model on a column, from the file if it has one of the same parts; otherwise it is computed and written there.
   * @param parts gives all that it depends on: hashes and settings
   */
  take(name: string, parts: () => Promise<unknown[]>, compute: () => Promise<MatrixCell>): Promise<MatrixCell>
  /** Scores that came from the file. */
  readonly taken: number
}

interface Entry {
  /** Model and column: a new score of the same ones replaces the old one. */
  name: string
  key: string
  score: Interval
}

const header = JSON.stringify({ file: 'scores of a matrix of models and tasks' })
/** JSON has no NaN, which the bounds of a single record are. */
const asJson = (score: Interval) => Object.fromEntries(Object.entries(score).map(([k, v]) => [k, String(v)]))
const checksum = ({ name, key, score }: Entry): string =>
  sha256(JSON.stringify([name, key, asJson(score)])).slice(0, 16)
const lineOf = (entry: Entry): string =>
  JSON.stringify({ ...entry, score: asJson(entry.score), checksum: checksum(entry) })

/** An entry of a line; undefined for one that is damaged. */
const entryOf = (line: string): Entry | undefined => {
  try {
    const { name, key, score, checksum: expected } = JSON.parse(line) as Record<string, never>
    const { value, low, high } = score as Record<string, string>
    const entry = { name, key, score: { value: Number(value), low: Number(low), high: Number(high) } }
    return checksum(entry) === expected ? entry : undefined
  } catch {
    return undefined
  }
}

/** @throws ConfigError for a file that is something else, which is not written over */
const readEntries = async (path: string): Promise<Entry[]> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new ConfigError(`Expected a file of scores for \`keep\`, got ${path}: ${error.message}. Name another one.`)
  })
  if (text === undefined) return []
  const [first, ...lines] = text.split('\n')
  if (first !== header)
    throw new ConfigError(
      `Expected a file of scores for \`keep\`, got ${path}, which is something else. Name another one.`,
    )
  return lines.flatMap((line) => entryOf(line) ?? [])
}

/** Without a file, every score is computed. */
const nothingKept: KeptScores = { take: (_name, _parts, compute) => compute(), taken: 0 }

/**
 * Opens or creates the file of scores. Of several processes, the first one reads and writes it.
 * @throws ConfigError for a file that is something else, or cannot be written
 */
export const openKeptScores = async (path: string | undefined, group?: ProcessGroup): Promise<KeptScores> => {
  if (path === undefined) return nothingKept
  const write = (entries: readonly Entry[]): Promise<void> =>
    writeFileAtomic(path, [header, ...entries.map(lineOf), ''].join('\n'))
  const read = async (): Promise<Entry[]> => {
    const entries = await readEntries(path)
    try {
      // A place that cannot be written to is known before the first score is.
      await write(entries)
    } catch (error) {
      throw new ConfigError(`Expected a file to write for \`keep\`, got ${path}: ${(error as Error).message}.`)
    }
    return entries
  }
  const entries = await onFirst(group, read)
  let taken = 0
  return {
    async take(name, parts, compute) {
      const key = sha256(JSON.stringify([packageVersion(), ...(await parts())])).slice(0, 32)
      const before = entries.find((entry) => entry.key === key)
      if (before !== undefined) {
        taken++
        return before.score
      }
      const score = await compute()
      // Why there is none costs nothing to find again.
      if (!('value' in score)) return score
      const outdated = entries.findIndex((entry) => entry.name === name)
      if (outdated >= 0) entries.splice(outdated, 1)
      entries.push({ name, key, score })
      if (group?.first !== false) await write(entries)
      return score
    },
    get taken() {
      return taken
    },
  }
}

/** Files that change what a model computes. */
const modelExtensions = ['.json', '.safetensors', '.gguf', '.jinja', '.txt', '.model', '.npz']
/** Files that a run writes beside its model, which say what it scored. */
const reports: readonly string[] = [modelFiles.evaluation, modelFiles.timing]

/** A hash of the files of a model by their content, wherever its folder is. */
export const modelHash = async (choice: string): Promise<string> => {
  const path = await resolveModel(choice)
  const isFile = (await stat(path)).isFile()
  const files = (await expandFiles(path, modelExtensions)).filter(
    (file) => isFile || !reports.some((name) => file === join(path, name)),
  )
  const hashes: string[] = []
  for (const file of files) hashes.push(`${relative(path, file)} ${await sha256File(file)}`)
  return sha256(hashes.join('\n'))
}
