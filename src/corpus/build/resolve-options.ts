// Resolves the options of a build: looks up every name, fills in every default, hashes every file named by an option.
// The settings are plain JSON, for the workers, the manifest and the fingerprint.

import { statSync } from 'node:fs'
import { parseConfig, sha256File } from '../../core/index.ts'
import { requireRegularFile } from '../../files/index.ts'
import { expandPaths, sources } from '../sources/index.ts'
import type { SourceDefinition } from '../sources/source.ts'
import { coerceOptions, lookUp, parseComponentSpec, parseFilterSpec, parseSourceSpec } from './component-spec.ts'
import { type ContaminationSettings, resolveContamination } from './contamination-stage.ts'
import { type FilterStage, resolveFilters } from './filter-chain.ts'
import type { InputFile, PlanSizes, ResolvedSource } from './inputs.ts'
import { canonicalJson } from './journal.ts'
import { listOf, type ResolvedBuildOptions } from './options.ts'
import { type DedupStage, resolveDedup } from './signatures.ts'

export interface BuildSettings {
  sources: ResolvedSource[]
  filters: FilterStage[]
  dedup: DedupStage[]
  sizes: PlanSizes & { partBytes: number; segmentBytes: number }
  contamination?: ContaminationSettings
  /** SHA-256 of the files that options of filters and deduplicators name (word lists, models), by path. */
  optionFiles: Record<string, string>
  /** SHA-256 of the test sets, by path. */
  testSetFiles: Record<string, string>
}

/** The sources by name, for names that are not checked yet. */
export const registeredSources: Readonly<Record<string, SourceDefinition>> = sources

/** Checks the options against the registries. @throws ConfigError for wrong options, DataError for missing test sets */
export const resolveBuild = async (options: ResolvedBuildOptions): Promise<BuildSettings> => {
  const filterSpecs = listOf(options.filter).map((spec, index) => parseFilterSpec(spec, `filter[${index}]`))
  if (options.maskPersonalData && !filterSpecs.some(({ type }) => type === 'personal-data')) {
    filterSpecs.push({ type: 'personal-data', options: {} })
  }
  for (const [index, { kinds }] of filterSpecs.entries()) {
    for (const kind of kinds ?? []) lookUp(registeredSources, kind, `filter[${index}]`)
  }
  const dedupSpecs = listOf(options.dedup).map((spec, index) => parseComponentSpec(spec, `dedup[${index}]`))
  const megabyte = 1_000_000
  const contamination = resolveContamination(options.decontaminate, options.decontamination)
  for (const { path } of contamination?.testSets ?? []) await requireRegularFile(path)
  const sources = options.source.map((spec, index) => resolveSource(spec, `source[${index}]`))
  const stages = {
    filters: resolveFilters(filterSpecs),
    dedup: resolveDedup(dedupSpecs, options.seed),
  }
  return {
    sources,
    ...stages,
    ...(contamination === undefined ? {} : { contamination }),
    sizes: {
      groupBytes: options.groupMegabytes * megabyte,
      largeFileBytes: options.largeFileMegabytes * megabyte,
      segmentBytes: options.segmentMegabytes * megabyte,
      partBytes: options.partMegabytes * megabyte,
    },
    optionFiles: await hashOptionFiles(stages),
    testSetFiles: await hashOptionFiles({ contamination }),
  }
}

const resolveSource = (spec: string, where: string): ResolvedSource => {
  const { type: kind, path, options } = parseSourceSpec(spec, where)
  const { config } = lookUp(registeredSources, kind, where)
  const checked = parseConfig(config, coerceOptions(config, options), `${where}.${kind}`)
  return { kind, path, options: checked as Record<string, unknown> }
}

/** The paths that a source opens, in its own order; `local` when they are local files. */
export const expandSource = async (
  { kind, path, options }: ResolvedSource,
  signal?: AbortSignal,
): Promise<{ paths: string[]; local: boolean }> => {
  const definition = registeredSources[kind]!
  // A source with its own expansion has other paths than files, such as names on a server.
  return { paths: await expandPaths(definition, path, options, { signal }), local: definition.expand === undefined }
}

/** SHA-256 of the files named by options: other bytes under the same name mean another build. */
const hashOptionFiles = async (settings: object): Promise<Record<string, string>> => {
  const paths = new Set<string>()
  const visit = (value: unknown, key: string) => {
    if (typeof value === 'string' && key !== 'type' && key !== 'kind' && key !== 'stage' && isFile(value))
      paths.add(value)
    else if (typeof value === 'object' && value !== null) {
      for (const [inner, field] of Object.entries(value)) visit(field, inner)
    }
  }
  visit(settings, '')
  const hashed: Record<string, string> = {}
  for (const path of [...paths].sort()) hashed[path] = await sha256File(path)
  return hashed
}

const isFile = (path: string): boolean => {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Differences between two builds as words: options and input files. */
export const describeChanges = (
  before: { settings: object; inputs: readonly InputFile[] },
  after: { settings: object; inputs: readonly InputFile[] },
): string[] => {
  const changes: string[] = []
  const keys = new Set([...Object.keys(before.settings), ...Object.keys(after.settings)])
  for (const key of keys) {
    const old = (before.settings as Record<string, unknown>)[key]
    const now = (after.settings as Record<string, unknown>)[key]
    if (canonicalJson(old) !== canonicalJson(now)) changes.push(key)
  }
  const oldInputs = new Map(before.inputs.map((input) => [input.path, input.sha256]))
  const newInputs = new Map(after.inputs.map((input) => [input.path, input.sha256]))
  const named = (label: string, paths: string[]) => {
    if (paths.length > 0) changes.push(`${label} ${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ' …' : ''}`)
  }
  named(
    'new input',
    [...newInputs.keys()].filter((path) => !oldInputs.has(path)),
  )
  named(
    'missing input',
    [...oldInputs.keys()].filter((path) => !newInputs.has(path)),
  )
  named(
    'changed input',
    [...newInputs.keys()].filter((path) => oldInputs.has(path) && oldInputs.get(path) !== newInputs.get(path)),
  )
  return changes.length > 0 ? changes : ['the version of the program']
}
