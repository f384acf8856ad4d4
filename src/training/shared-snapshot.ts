// Checkpoints of processes that have a part of the weights each (ZeRO-3): every process writes its part of the state, and whole weights of
// some layers, into files of its own; the first one commits them with one manifest. The weights are one Hugging Face folder.
import { join } from 'node:path'
import { extraTensors, hfStateOf, saveModel, saveSafetensors, shardName, writeShardIndex } from '../checkpoint/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import type { Model } from '../models/index.ts'
import type { Piece, ShardedOptimizer, TensorPart } from '../optim/index.ts'
import { freeTensors, keepUntilFreed, noGradScope, type Tensor, totalBytes } from '../tensor/index.ts'
import { checkpointFiles } from '../tracking/index.ts'
import type { ShardedWeights } from './sharded-weights.ts'
import {
  finishSnapshot,
  type ManifestFiles,
  type RunState,
  type SnapshotParts,
  snapshotPath,
  writeSnapshotFolder,
} from './snapshot.ts'
import { partName, saveParts } from './tensor-parts.ts'

/** The processes, and what of a run they have parts of. */
export interface SharedState {
  group: ProcessGroup
  weights: ShardedWeights
  optimizer: ShardedOptimizer
}

/** Writes a checkpoint; all processes call it. Returns its path. */
export const writeSharedSnapshot = async (
  run: string,
  parts: SnapshotParts,
  shared: SharedState,
  state: Omit<RunState, 'optimizerStep' | 'averageUpdates'>,
  options: { tokenizer?: string } = {},
): Promise<string> => {
  const { group } = shared
  const write = async (folder: string): Promise<void> => {
    if (group.first) await writeBeside(folder, parts, options)
    // The others write into the folder of the first one, once it is there.
    const target = await group.fromFirst(() => folder)
    const own = { ...(await writeState(target, parts, shared)), ...(await writeWeights(target, parts, shared)) }
    const all = await group.gather(own)
    if (!group.first) return
    const averageUpdates = parts.average?.state().updates ?? 0
    const full: RunState = { ...state, optimizerStep: shared.optimizer.state().step, averageUpdates }
    await finishSnapshot(folder, full, Object.assign({}, ...all) as ManifestFiles)
  }
  if (group.first) await writeSnapshotFolder(run, state.step, write)
  else await write('')
  return snapshotPath(run, state.step)
}

/** What only the first process writes. */
const writeBeside = async (folder: string, parts: SnapshotParts, options: { tokenizer?: string }): Promise<void> => {
  const { model, auxiliary, addModelFiles, carried, online } = parts
  await saveModel(model, join(folder, checkpointFiles.model), { ...options, addFiles: addModelFiles, weights: false })
  if (auxiliary !== undefined) await saveModel(auxiliary, join(folder, checkpointFiles.auxiliary), { weights: false })
  if (carried !== undefined) await saveSafetensors(join(folder, checkpointFiles.carried), carried())
  await online?.save(join(folder, checkpointFiles.examples))
}

/** The parts of optimizer and average of this process. */
const writeState = async (
  folder: string,
  { average }: SnapshotParts,
  { group, optimizer }: SharedState,
): Promise<ManifestFiles> => {
  const files: ManifestFiles = {}
  const put = async (name: string, parts: ReadonlyMap<string, TensorPart>) => {
    const file = partName(name, group.rank, group.size)
    files[file] = await saveParts(join(folder, file), parts)
  }
  await put(checkpointFiles.optimizer, optimizer.stateParts())
  if (average !== undefined) {
    const averages = average.state().tensors
    const partOf = ({ path, from }: Piece): [string, TensorPart] => {
      const { shape } = optimizer.parameters.get(path) as Tensor
      return [path, { values: averages.get(path) as Tensor, from, shape: [...shape] }]
    }
    await put(checkpointFiles.average, new Map(optimizer.pieces.map(partOf)))
  }
  return files
}

/** Whole weights of some layers, those that this process has the memory for: about as much as its part of all. */
const writeWeights = async (
  folder: string,
  { model, auxiliary }: SnapshotParts,
  { group, weights }: SharedState,
): Promise<ManifestFiles> => {
  const models = [
    { model, below: checkpointFiles.model },
    ...(auxiliary === undefined ? [] : [{ model: auxiliary, below: checkpointFiles.auxiliary }]),
  ].map((one) => ({ ...one, tensors: group.first ? extraOf(one.model) : new Map<string, Tensor>() }))
  await weights.eachUnit((gathered, share) => {
    if (Math.min(group.size - 1, Math.floor(share * group.size)) !== group.rank) return
    for (const one of models) for (const [key, tensor] of viewsOf(one.model, gathered)) one.tensors.set(key, tensor)
  })
  const files: ManifestFiles = {}
  for (const { below, tensors } of models) {
    const name = shardName(group.rank + 1, group.size)
    if (tensors.size > 0)
      files[join(below, name)] = await saveSafetensors(join(folder, below, name), tensors, { format: 'pt' })
    const all = await group.gather({ name, keys: [...tensors.keys()], bytes: totalBytes(tensors.values()) })
    const map = Object.fromEntries(all.flatMap((one) => one.keys.map((key) => [key, one.name])))
    if (group.first)
      await writeShardIndex(
        join(folder, below),
        map,
        all.reduce((sum, one) => sum + one.bytes, 0),
      )
    freeTensors(tensors.values())
  }
  return files
}

const extraOf = (model: Model): Map<string, Tensor> => {
  const [first] = model.parameters().values()
  return extraTensors(model, first.dtype)
}

/** Views that keep the memory of weights, by their keys in files. */
const viewsOf = (model: Model, gathered: ReadonlySet<Tensor>): Map<string, Tensor> =>
  noGradScope(() => {
    const named = hfStateOf(model, (parameter) => gathered.has(parameter))
    const views = new Map([...named].map(([key, tensor]) => [key, tensor.detach()]))
    keepUntilFreed([...views.values()])
    return views
  })
