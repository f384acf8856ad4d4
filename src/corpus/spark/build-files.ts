// The folder that every worker of a build on Spark has: the settings, the index of the test sets, and copies of the files
// that options of filters name.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { DataError } from '../../core/index.ts'
import type { BuildSettings } from '../build/resolve-options.ts'

export interface BuildFiles {
  settings: BuildSettings
  /** Path of the index of the test sets, when there are any. */
  index?: string
}

const settingsName = 'build.json'
const indexName = 'grams.bin'
const optionsName = 'options'

const copyName = (path: string, hash: string): string => `${hash.slice(0, 12)}-${basename(path)}`

/** Writes the folder. */
export const writeBuildFiles = async (folder: string, { settings, index }: BuildFiles): Promise<void> => {
  await mkdir(join(folder, optionsName), { recursive: true })
  for (const [path, hash] of Object.entries(settings.optionFiles))
    await copyFile(path, join(folder, optionsName, copyName(path, hash)))
  if (index !== undefined) await copyFile(index, join(folder, indexName))
  await writeFile(join(folder, settingsName), JSON.stringify({ settings, index: index !== undefined }))
}

/** Reads the folder; paths in options become those of the copies. @throws DataError when it is not such a folder */
export const readBuildFiles = async (folder: string): Promise<BuildFiles> => {
  const path = join(folder, settingsName)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError('Expected the folder of a build on Spark, got no build.json. Check `build`.', folder)
  })
  const { settings, index } = JSON.parse(text) as { settings: BuildSettings; index: boolean }
  const copies = new Map(
    Object.entries(settings.optionFiles).map(([own, hash]) => [own, join(folder, optionsName, copyName(own, hash))]),
  )
  const relocate = <Value>(value: Value): Value => {
    if (typeof value === 'string') return (copies.get(value) ?? value) as Value
    if (Array.isArray(value)) return value.map(relocate) as Value
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, relocate(inner)])) as Value
  }
  const filters = settings.filters.map((filter) => ({ ...filter, options: relocate(filter.options) }))
  const dedup = settings.dedup.map((stage) => ({ ...stage, options: relocate(stage.options) }))
  return { settings: { ...settings, filters, dedup }, ...(index ? { index: join(folder, indexName) } : {}) }
}
