// Writes and restores the checkpoints of a run, in one process or in several, of which each may have a part of its state, and exports the model
// of a finished run from them.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../../checkpoint/index.ts'
import { writeFolderAtomic } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { ShardedOptimizer, type WeightAverage } from '../../optim/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { checkpointFiles, runFiles } from '../../tracking/index.ts'
import {
  type LoopState,
  listSnapshots,
  readSnapshot,
  type SnapshotParts,
  writeSharedSnapshot,
  writeSnapshot,
} from '../../training/index.ts'
import type { BuiltRun, FinalScores } from './run-kind.ts'

/** Tensors that criterion and fine-tuning method carry from step to step; undefined without any. */
const carriedTensors = ({ objective, method }: BuiltRun['trainable']): SnapshotParts['carried'] => {
  const sources = [objective.carried?.tensors, method?.tensors].filter((tensors) => tensors !== undefined)
  return sources.length === 0 ? undefined : () => new Map(sources.flatMap((tensors) => [...tensors()]))
}

export const partsOf = ({
  trainable,
  stream,
  optimizer,
  average,
  weights,
  addModelFiles,
}: BuiltRun): SnapshotParts => ({
  model: trainable.model,
  auxiliary: trainable.auxiliary,
  optimizer,
  average,
  carried: carriedTensors(trainable),
  online: stream.online,
  weights,
  addModelFiles,
})

/**
 * Writes a checkpoint, by the processes that have a part of it; all call it. Returns its path.
 * @param prepare called by the first process before it writes anything
 */
export const saveCheckpoint = async (
  run: BuiltRun,
  state: LoopState,
  group: ProcessGroup | undefined,
  prepare: () => void,
): Promise<string> => {
  const { optimizer, average, shardedWeights, recipe, tokenizerFiles: tokenizer } = run
  const parts = partsOf(run)
  const write = (some: Partial<SnapshotParts> = {}) => {
    prepare()
    return writeSnapshot(recipe.out, { ...parts, ...some }, state, { tokenizer })
  }
  if (group === undefined) return write()
  if (!(optimizer instanceof ShardedOptimizer)) return group.fromFirst(() => write())
  if (shardedWeights !== undefined && parts.weights === undefined) {
    if (group.first) prepare()
    return writeSharedSnapshot(recipe.out, parts, { group, weights: shardedWeights, optimizer }, state, { tokenizer })
  }
  // The whole state, on the first process: with sharded weights it is that of an adapter, or of models in files of their own.
  const whole = await optimizer.collectState(group)
  const averaged =
    average === undefined || shardedWeights === undefined
      ? average
      : { ...average, state: await collectAverage(group, optimizer, average) }
  const save = () =>
    group.fromFirst(() =>
      write({ optimizer: { ...parts.optimizer, state: () => whole ?? optimizer.state() }, average: averaged }),
    )
  if (shardedWeights === undefined) return save()
  return parts.weights?.storesFrozen === true ? shardedWeights.whole(save) : shardedWeights.wholeTrained(save)
}

/** The state of an average of which each process has a part, whole on the first process. */
const collectAverage = async (
  group: ProcessGroup,
  optimizer: ShardedOptimizer,
  average: WeightAverage,
): Promise<WeightAverage['state']> => {
  const { tensors: parts, updates } = average.state()
  const tensors = await optimizer.collectPieces(group, (path) => parts.get(path) as Tensor)
  return () => ({ tensors, updates })
}

/** Loads a checkpoint into model, optimizer and average, which keep their own counters; all processes call it. */
export const restoreCheckpoint = async (run: BuiltRun, path: string): Promise<LoopState> => {
  const { shardedWeights, optimizer } = run
  const read = () => readSnapshot(path, partsOf(run))
  const restored =
    shardedWeights === undefined
      ? await read()
      : await shardedWeights.whole(async () => {
          const found = await read()
          // Loading the optimizer has written its float32 weights into the part, and the model has those of the file.
          shardedWeights.take()
          if (optimizer instanceof ShardedOptimizer) optimizer.takeWeights()
          return found
        })
  const { optimizerStep: _, averageUpdates: __, ...state } = restored
  return state
}

/**
 * Exports the model of a finished run; all processes call it, and the first one writes.
 * @param bestStep of the best evaluation by `keep.best`
 */
export const exportModel = async (
  run: BuiltRun,
  bestStep: number | undefined,
  group?: ProcessGroup,
): Promise<{ model: string; modelStep?: number; scores?: FinalScores | undefined }> => {
  const { recipe, trainable, average, shardedWeights, besideWeights } = run
  const onFirst = <Result>(work: () => Promise<Result>): Promise<Result> => group?.fromFirst(work) ?? work()
  const model = join(recipe.out, runFiles.model)
  const snapshots = await onFirst(() => listSnapshots(recipe.out))
  const best = recipe.keep.best === undefined ? undefined : snapshots.find(({ step }) => step === bestStep)
  const chosen = best ?? snapshots[0]
  const exported = { model, ...(chosen && { modelStep: chosen.step }) }
  if (run.exportModel === undefined && average === undefined) {
    const weights = join(chosen.path, checkpointFiles.model)
    await onFirst(() => writeFolderAtomic(model, (folder) => cp(weights, folder, { recursive: true })))
    return exported
  }
  const restores = chosen !== undefined && (run.exportModel !== undefined || best !== undefined)
  const write = async () => {
    if (restores && shardedWeights === undefined) await readSnapshot(chosen.path, partsOf(run))
    if (shardedWeights === undefined) average?.swapIn()
    try {
      if (run.exportModel !== undefined) return { ...exported, scores: await run.exportModel(model) }
      await saveModel(trainable.model, model, { tokenizer: run.tokenizerFiles })
      return exported
    } finally {
      if (shardedWeights === undefined) average?.swapOut()
    }
  }
  if (shardedWeights === undefined) return onFirst(write)
  // Every process has a part of the checkpoint and of the average.
  if (restores) await restoreCheckpoint(run, chosen.path)
  average?.swapIn()
  try {
    const writeWhole = () => shardedWeights.whole(() => onFirst(write))
    return await (besideWeights?.whole(writeWhole) ?? writeWhole())
  } finally {
    average?.swapOut()
  }
}
