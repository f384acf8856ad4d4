// `exportModel`: one model in several formats, each compared with the model itself before the folder gets its name.
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { ConfigError, exists, lockFolder, removeUnfinished, sha256File, writeFolderAtomic } from '../core/index.ts'
import type { LoadHooks } from '../inference/index.ts'
import { type ExportInput, type ExportSettings, expectTextsUsed, exportSettings } from './export-settings.ts'
import type { ExportSource, ProofRow, WriteContext } from './export-target.ts'
import { collectImportance } from './gguf/importance.ts'
import { writeModelCards } from './model-card.ts'
import { openSource } from './open-source.ts'
import { openValidation, type Validation } from './proof/compare-scores.ts'
import { proofTexts } from './proof/runner.ts'
import { onFullDisk } from './save-into.ts'

/** Called while a model is exported. */
export interface ExportHooks extends LoadHooks {
  signal?: AbortSignal | undefined
  /** One line about what is done now. */
  onProgress?(line: string): void
}

/** A file of an export. */
export interface ExportedFile {
  /** Path within the folder of the export. */
  name: string
  bytes: number
  /** SHA-256, hexadecimal. */
  sha256: string
}

/** What was exported. */
export interface ExportResult {
  out: string
  model: string
  targets: string[]
  files: ExportedFile[]
  /** Comparisons with the model. */
  proof: ProofRow[]
  notes: string[]
}

/** Name of the file with hashes and comparisons. */
export const PROOF_FILE = 'proof.json'

const listFiles = async (root: string, folder = root): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true })
  const nested = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? listFiles(root, path) : [relative(root, path).replaceAll('\\', '/')]
    }),
  )
  return nested.flat().sort()
}

/** @throws ConfigError for a folder with other things in it */
const expectFreeFolder = async (out: string, replace: boolean): Promise<void> => {
  if (out === '') throw new ConfigError('`out` needs a folder: name one that does not exist.')
  if (!(await exists(out))) return
  const entries = await readdir(out).catch(() => undefined)
  if (entries === undefined)
    throw new ConfigError(`Expected a folder for \`out\`, got the file ${out}. Choose another.`)
  if (entries.length === 0 || (replace && entries.includes(PROOF_FILE))) return
  throw new ConfigError(
    replace
      ? `Expected the folder of an earlier export for \`out\`, got ${out} without ${PROOF_FILE}. Choose another folder.`
      : `Expected a folder for \`out\` that is empty or does not exist, got ${out}. Choose another, or set \`replace\`.`,
  )
}

const refuseFailures = (rows: readonly ProofRow[]): void => {
  const failed = rows.filter(({ ok }) => !ok)
  if (failed.length === 0) return
  const lines = failed.map(
    ({ target, check, value, limit, detail }) =>
      `${target}: ${check} ${value}${limit === undefined ? '' : ` (limit ${limit})`}${detail === undefined ? '' : `, ${detail}`}`,
  )
  throw new ConfigError(
    `Expected an export that computes what the model computes, got differences, so nothing was written: ${lines.join('; ')}. Report this, or choose another format.`,
  )
}

/** @param known hashes that were computed while files were written, by path */
const hashAll = async (folder: string, known: ReadonlyMap<string, string>): Promise<ExportedFile[]> => {
  const files: ExportedFile[] = []
  for (const name of await listFiles(folder)) {
    const path = join(folder, name)
    files.push({ name, bytes: (await stat(path)).size, sha256: known.get(path) ?? (await sha256File(path)) })
  }
  return files
}

/** Writes and proves every target in a temporary folder. */
const fill = async (
  source: ExportSource,
  folder: string,
  { chosen, texts, license, prove }: ExportSettings,
  validation: Validation | undefined,
  { onProgress, signal }: ExportHooks,
): Promise<Pick<ExportResult, 'files' | 'proof' | 'notes'>> => {
  const notes = [...source.notes]
  // Formats that share files have the same notes.
  const note = (line: string) => void (notes.includes(line) || notes.push(line))
  const hashes = new Map<string, string>()
  const onHash = (path: string, sha256: string) => void hashes.set(path, sha256)
  const context: WriteContext = { onProgress, note, onHash, signal }
  const proof: ProofRow[] = []
  // Says of a folder that is found later whether its process still writes.
  const unlock = await lockFolder(folder, (owner, path) => `Process ${owner} has the lock ${path}: wait for it.`)
  for (const { name, target, variant } of chosen) {
    signal?.throwIfAborted()
    const own = join(folder, target.folder)
    await mkdir(own, { recursive: true })
    await target.write(source, variant, own, context)
    if (!prove || target.prove === undefined) continue
    onProgress?.(`Comparing ${name} with the model`)
    proof.push(...(await target.prove(source, variant, own, { texts: proofTexts(texts), validation, note, signal })))
  }
  refuseFailures(proof)
  await writeModelCards(source, folder, { chosen, proof, notes, ...(license === undefined ? {} : { license }) })
  await unlock()
  const files = await hashAll(folder, hashes)
  await writeFile(join(folder, PROOF_FILE), `${JSON.stringify({ model: source.name, proof, notes, files }, null, 2)}\n`)
  return { files, proof, notes }
}

/**
 * Exports a model. The folder appears when every format is written and computes what the model computes; until then
 * nothing is at `out`.
 * @throws ConfigError for settings without effect, formats that the model does not have, adapters that cannot be merged, and exports beyond the
 *   tolerance of their dtype; CheckpointError for files that cannot be loaded
 */
export const exportModel = async (input: ExportInput, hooks: ExportHooks = {}): Promise<ExportResult> => {
  const settings = exportSettings(input)
  const { chosen, operators, data, imatrix } = settings
  await expectFreeFolder(input.out, settings.replace)
  hooks.onProgress?.(`Opening ${input.model}`)
  const source = await openSource(input, hooks)
  expectTextsUsed(settings, source.usesTexts)
  if (operators !== undefined) source.operators = operators
  for (const { target, variant } of chosen) await target.check?.(source, variant)
  const validation = data === undefined ? undefined : await openValidation(source, data)
  if (imatrix !== undefined) {
    source.importance = collectImportance(source, imatrix, hooks)
    const { tokens, chunks } = source.importance
    source.notes.push(`Importance matrix of ${tokens} tokens of calibration text in ${chunks} chunks.`)
  }
  const out = resolve(input.out)
  let filled: Pick<ExportResult, 'files' | 'proof' | 'notes'> = { files: [], proof: [], notes: [] }
  try {
    // What an export that was killed has left beside it.
    if (await exists(dirname(out))) await removeUnfinished(dirname(out), `${basename(out)}.`)
    await writeFolderAtomic(out, async (folder) => {
      filled = await fill(source, folder, settings, validation, hooks)
    })
  } catch (error) {
    throw onFullDisk(error, input.out)
  }
  return { out: input.out, model: input.model, targets: chosen.map(({ name }) => name), ...filled }
}
