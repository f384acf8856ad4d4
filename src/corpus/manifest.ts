// corpus.json, the manifest of a finished corpus: inputs, settings, and every file with its hash. It contains no time,
// machine or number of workers, so that equal builds have equal manifests.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { DataError, parseConfig, parseJson, programCall } from '../core/index.ts'

export const manifestName = 'corpus.json'
export const manifestFormat = 'tunesmith-corpus'
export const manifestVersion = 1

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.number().int().nonnegative()
/** Paths in a manifest stay inside the corpus; Spark gives names such as `kind=part/part=0`. */
const innerPath = z.string().regex(/^(?!\/)(?!.*\.\.)[\w./=-]+$/)

const fileSchema = z.strictObject({ path: innerPath, lines: count, bytes: count, sha256: hash })

const manifestSchema = z.strictObject({
  format: z.literal(manifestFormat),
  version: z.literal(manifestVersion),
  /** Hash of the inputs and of all options that affect the corpus. */
  fingerprint: z.string().regex(/^[0-9a-f]{24}$/),
  settings: z.record(z.string(), z.unknown()),
  /** `sha256` is null for inputs that are not local files; these are identified by their path alone. */
  inputs: z.array(z.strictObject({ source: count, path: z.string(), bytes: count, sha256: hash.nullable() })),
  stages: z.array(
    z.strictObject({
      stage: z.string(),
      documentsIn: count,
      documentsOut: count,
      bytesIn: count,
      bytesOut: count,
      changed: count,
      added: count,
      dropped: z.record(z.string(), count),
    }),
  ),
  documents: count,
  textBytes: count,
  parts: z.array(fileSchema.extend({ documents: count, textBytes: count })),
  dropped: z.array(fileSchema),
  report: fileSchema.omit({ lines: true }),
})

/** The manifest of a corpus: inputs, settings, counts and files. */
export type CorpusManifest = z.output<typeof manifestSchema>
/** One part file of a corpus. */
export type CorpusPart = CorpusManifest['parts'][number]

/** The manifest of the corpus in `folder`. @throws DataError when there is none or it is damaged */
export const readManifest = async (folder: string): Promise<CorpusManifest> => {
  const manifest = await readManifestIfAny(folder)
  if (manifest === undefined) {
    throw new DataError(
      `Expected a corpus, got no ${manifestName}. Build one with \`${programCall('corpus build')}\`, or resume a stopped build.`,
      folder,
    )
  }
  return manifest
}

/** The manifest, or undefined when the folder has none. */
export const readManifestIfAny = async (folder: string): Promise<CorpusManifest | undefined> => {
  const path = join(folder, manifestName)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
  return parseManifest(text, path)
}

/** The manifest in a text. @throws DataError and ConfigError when it is damaged */
export const parseManifest = (text: string, path: string): CorpusManifest =>
  parseConfig(manifestSchema, parseJson(text, { path, advice: () => 'Build the corpus again.' }), path)

/** A manifest as indented JSON, with a fixed order of keys. */
export const encodeManifest = (manifest: CorpusManifest): string => `${JSON.stringify(manifest, null, 1)}\n`
