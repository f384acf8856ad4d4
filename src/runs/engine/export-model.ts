// Exports the model of a finished run: the best checkpoint if the recipe keeps one, else the last, with averaged weights if there are any.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../../checkpoint/index.ts'
import { writeFolderAtomic } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { checkpointFiles, runFiles } from '../../tracking/index.ts'
import { listSnapshots, readSnapshot } from '../../training/index.ts'
import { partsOf, restoreCheckpoint } from './checkpoints.ts'
import type { BuiltRun, FinalScores } from './run-kind.ts'

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
