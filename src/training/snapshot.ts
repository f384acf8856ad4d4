// Checkpoints of a run: folders that are there completely or not at all, with the SHA-256 of every file in a manifest. They store what a run
// needs to give the same bits after a resume. Independent of the loop.

import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { z } from 'zod'
import {
  loadWeightsInto,
  openSafetensors,
  type SafetensorsFile,
  saveModel,
  saveSafetensors,
} from '../checkpoint/index.ts'
import { CheckpointError, exists, parseConfig, sha256File, temporaryName, writeFolderAtomic } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { restoreState } from '../nn/index.ts'
import type { Optimizer, WeightAverage } from '../optim/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { checkpointFiles, runFiles } from '../tracking/index.ts'
import type { OnlineExamples } from './example-stream.ts'
import { openParts } from './tensor-parts.ts'

const whole = z.int().nonnegative()

/** The state of a run without its tensors. */
export const runStateSchema = z.strictObject({
  step: whole,
  position: whole,
  tokens: whole,
  seconds: z.number().nonnegative(),
  /** Micro-batches may have been halved when memory ran out. */
  microTokens: whole,
  recompute: whole,
  /** What the settings requested for both, so that a later change of the settings takes effect. */
  requested: z.strictObject({ microTokens: whole, recompute: whole }),
  optimizerStep: whole,
  averageUpdates: whole,
  losses: z.array(z.number()),
  best: z.strictObject({ step: whole, value: z.number() }).nullable(),
  /** Evaluations since the best one. */
  stale: whole,
  /** Reductions of the learning rate so far, and the evaluations without an improvement since the last one. */
  plateau: z.strictObject({ reductions: whole, waited: whole }).optional(),
  /** The factor of the loss in float16, steps since it changed, and the steps that were skipped so far. */
  lossScale: z.strictObject({ scale: z.number().positive(), sound: whole, skipped: whole }).optional(),
  /** What is still to be done after this step: a checkpoint is written before its step is evaluated. */
  pending: z.array(z.enum(['evaluate', 'sample'])),
  /** What the criterion carries from step to step (`Criterion.carried`). */
  carried: z.unknown().optional(),
})
export type RunState = z.output<typeof runStateSchema>

/** The parts of a run that a checkpoint stores and restores. */
export interface SnapshotParts {
  model: Model
  auxiliary?: Model
  optimizer: Optimizer
  average?: WeightAverage
  /** Tensors that the criterion carries from step to step. */
  carried?(): ReadonlyMap<string, Tensor>
  /** Examples that the run made itself. */
  online?: Pick<OnlineExamples, 'save' | 'load'>
  /** Writes files beside the weights of a whole model. */
  addModelFiles?(folder: string): Promise<void>
  /** How the weights are stored, if not as a folder of the whole model. */
  weights?: {
    /** Whether it writes weights that are not trained too (default: false). */
    storesFrozen?: boolean
    save(folder: string): Promise<void>
    load(folder: string): Promise<void>
  }
}

const manifestSchema = z.strictObject({
  version: z.literal(1),
  files: z.record(z.string(), z.strictObject({ bytes: whole, sha256: z.string() })),
})
/** Size and hash of files by their paths in a checkpoint. */
export type ManifestFiles = z.output<typeof manifestSchema>['files']

/** The name of a step in file names, such as `step-00000400`. */
export const stepName = (step: number): string => `step-${String(step).padStart(8, '0')}`
/** The folder of the checkpoint of a step. */
export const snapshotPath = (run: string, step: number): string => join(run, runFiles.checkpoints, stepName(step))

const filesIn = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}

/** Waits for all of them, even if one fails: nothing may still write into a folder that is being removed. */
const allOf = async (tasks: readonly (Promise<void> | undefined)[]): Promise<void> => {
  for (const result of await Promise.allSettled(tasks)) if (result.status === 'rejected') throw result.reason
}

/** The state of a run as a checkpoint stores it. */
type StoredState = Omit<RunState, 'optimizerStep' | 'averageUpdates'>

/** Writes what no process but the first writes, and the manifest of all files. @param written files that were hashed already */
export const finishSnapshot = async (folder: string, state: RunState, written: ManifestFiles): Promise<void> => {
  await writeFile(join(folder, checkpointFiles.state), JSON.stringify(state))
  const files = { ...written }
  for (const name of await filesIn(folder)) {
    // Large files were hashed while they were written.
    if (name in files) continue
    const file = join(folder, name)
    files[name] = { bytes: (await stat(file)).size, sha256: await sha256File(file) }
  }
  await writeFile(join(folder, checkpointFiles.manifest), JSON.stringify({ version: 1, files }))
}

/** Writes the folder of a checkpoint below a run's folder, all of it or nothing; returns its path. An earlier one of the step is replaced. */
export const writeSnapshotFolder = async (
  run: string,
  step: number,
  write: (folder: string) => Promise<void>,
): Promise<string> => {
  const path = snapshotPath(run, step)
  await mkdir(join(run, runFiles.checkpoints), { recursive: true })
  await writeFolderAtomic(path, write)
  return path
}

/** Writes a checkpoint below a run's folder; returns its path. An earlier one of the same step is replaced. */
export const writeSnapshot = (
  run: string,
  parts: SnapshotParts,
  state: StoredState,
  options: { tokenizer?: string } = {},
): Promise<string> =>
  writeSnapshotFolder(run, state.step, async (folder) => {
    const { model, auxiliary, optimizer, average } = parts
    const files: ManifestFiles = {}
    const noting = (below: string) => (name: string, written: ManifestFiles[string]) => {
      files[join(below, name)] = written
    }
    const put = async (name: string, tensors: ReadonlyMap<string, Tensor>) => {
      files[name] = await saveSafetensors(join(folder, name), tensors)
    }
    const weightsFolder = join(folder, checkpointFiles.model)
    const { tensors, step } = optimizer.state()
    const averaged = average?.state()
    // In parallel: hashing one file takes one core.
    await allOf([
      parts.weights?.save(weightsFolder) ??
        saveModel(model, weightsFolder, {
          ...options,
          addFiles: parts.addModelFiles,
          onWritten: noting(checkpointFiles.model),
        }),
      auxiliary &&
        saveModel(auxiliary, join(folder, checkpointFiles.auxiliary), { onWritten: noting(checkpointFiles.auxiliary) }),
      put(checkpointFiles.optimizer, tensors),
      averaged && put(checkpointFiles.average, averaged.tensors),
      parts.carried && put(checkpointFiles.carried, parts.carried()),
      parts.online?.save(join(folder, checkpointFiles.examples)),
    ])
    await finishSnapshot(folder, { ...state, optimizerStep: step, averageUpdates: averaged?.updates ?? 0 }, files)
  })

/** @throws CheckpointError that names what is damaged */
export const verifySnapshot = async (folder: string): Promise<void> => {
  const path = join(folder, checkpointFiles.manifest)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new CheckpointError(`${folder}: Expected a checkpoint with a ${checkpointFiles.manifest}, found none.`)
  })
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new CheckpointError(`${path}: Expected JSON, got something else. The checkpoint is damaged.`)
  }
  const manifest = manifestSchema.safeParse(parsed)
  if (!manifest.success)
    throw new CheckpointError(
      `${path}: Expected the size and the SHA-256 of each file, got something else. The checkpoint is damaged.`,
    )
  const { files } = manifest.data
  const present = new Set(await filesIn(folder))
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    if (!present.has(name))
      throw new CheckpointError(`${folder}: Expected ${name}, found none. The checkpoint is damaged.`)
    const file = join(folder, name)
    if ((await stat(file)).size !== bytes || (await sha256File(file)) !== sha256)
      throw new CheckpointError(`${file}: Expected the bytes that were written, got others. The checkpoint is damaged.`)
  }
  const extra = [...present].filter((name) => name !== checkpointFiles.manifest && !(name in files))
  if (extra.length > 0)
    throw new CheckpointError(`${folder}: Expected only the files of its manifest, found ${extra.join(', ')} too.`)
}

/** A checkpoint of a run. */
export interface FoundSnapshot {
  path: string
  step: number
}

/** Checkpoints of a run, newest first, unverified. */
export const listSnapshots = async (run: string): Promise<FoundSnapshot[]> => {
  const names = await readdir(join(run, runFiles.checkpoints)).catch(() => [] as string[])
  return names
    .flatMap((name) => {
      const found = /^step-(\d{8,})$/.exec(name)
      return found === null ? [] : [{ path: join(run, runFiles.checkpoints, name), step: Number(found[1]) }]
    })
    .sort((a, b) => b.step - a.step)
}

/**
 * Removes what a killed process left half written in a run's folder. A checkpoint that was complete, but not at its place yet, or moved aside
 * to be replaced, is put there. Call with the run locked.
 */
export const removeLeftovers = async (run: string): Promise<void> => {
  const checkpoints = join(run, runFiles.checkpoints)
  for (const folder of [run, checkpoints, join(run, runFiles.incidents)])
    for (const name of await readdir(folder).catch(() => [] as string[])) {
      const target = temporaryName(name)?.target
      if (target === undefined) continue
      const path = join(folder, name)
      const isComplete =
        folder === checkpoints &&
        (await verifySnapshot(path).then(
          () => true,
          () => false,
        ))
      if (isComplete && !(await exists(join(folder, target)))) await rename(path, join(folder, target))
      else await rm(path, { recursive: true, force: true })
    }
}

/** Renames checkpoints after `step`: they are damaged, and those to come need their names. */
export const setAsideAfter = async (run: string, step: number): Promise<void> => {
  for (const snapshot of await listSnapshots(run)) {
    if (snapshot.step <= step) continue
    const aside = join(run, runFiles.checkpoints, `damaged-${stepName(snapshot.step)}`)
    await rm(aside, { recursive: true, force: true })
    await rename(snapshot.path, aside)
  }
}

/** The newest intact checkpoint, and what is wrong with newer ones. */
export const newestSnapshot = async (run: string): Promise<{ found?: FoundSnapshot; damaged: string[] }> => {
  const damaged: string[] = []
  for (const snapshot of await listSnapshots(run)) {
    try {
      await verifySnapshot(snapshot.path)
      return { found: snapshot, damaged }
    } catch (error) {
      damaged.push((error as Error).message)
    }
  }
  return { damaged }
}

const allTensors = ({ tensors, tensor }: SafetensorsFile) =>
  new Map([...tensors.keys()].map((name) => [name, tensor(name)]))

/**
 * Copies the tensors of a file into those of the same paths.
 * @throws CheckpointError that lists all missing, unexpected and mismatched paths
 */
export const restoreTensors = (own: ReadonlyMap<string, Tensor>, file: SafetensorsFile): void =>
  restoreState(own, allTensors(file))

/** Restores the parts of a run from a checkpoint, which must have been verified. */
export const readSnapshot = async (folder: string, parts: SnapshotParts): Promise<RunState> => {
  const statePath = join(folder, checkpointFiles.state)
  const state = parseConfig(runStateSchema, JSON.parse(await readFile(statePath, 'utf8')), statePath)
  await (parts.weights?.load(join(folder, checkpointFiles.model)) ??
    loadWeightsInto(parts.model, join(folder, checkpointFiles.model)))
  if (parts.auxiliary !== undefined) await loadWeightsInto(parts.auxiliary, join(folder, checkpointFiles.auxiliary))
  const stateOf = (name: string) => openParts(folder, name)
  parts.optimizer.loadState({ tensors: await stateOf(checkpointFiles.optimizer), step: state.optimizerStep })
  if (parts.average !== undefined)
    parts.average.loadState({ tensors: await stateOf(checkpointFiles.average), updates: state.averageUpdates })
  if (parts.carried !== undefined)
    restoreTensors(parts.carried(), await openSafetensors(join(folder, checkpointFiles.carried)))
  await parts.online?.load(join(folder, checkpointFiles.examples))
  return state
}

/** Deletes checkpoints that the settings do not keep. Returns their paths. */
export const pruneSnapshots = async (
  run: string,
  keep: { last: number; every?: number; best?: number },
): Promise<string[]> => {
  const all = await listSnapshots(run)
  const pruned = all.filter(
    ({ step }, i) => i >= keep.last && step !== keep.best && !(keep.every !== undefined && step % keep.every === 0),
  )
  for (const { path } of pruned) await rm(path, { recursive: true, force: true })
  return pruned.map(({ path }) => path)
}
