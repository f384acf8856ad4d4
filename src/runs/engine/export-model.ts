// Exports the model of a finished run: the best checkpoint if the recipe keeps one, else the last, with averaged weights if there are any.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { saveModel } from '../../checkpoint/index.ts'
import { writeFolderAtomic } from '../../core/index.ts'
import { checkpointFiles, runFiles } from '../../tracking/index.ts'
import { listSnapshots, readSnapshot, type SnapshotParts } from '../../training/index.ts'
import type { BuiltRun, FinalScores } from './run-kind.ts'

/** Tensors that criterion and fine-tuning method carry from step to step; undefined without any. */
const carriedTensors = ({ objective, method }: BuiltRun['trainable']): SnapshotParts['carried'] => {
  const sources = [objective.carried?.tensors, method?.tensors].filter((tensors) => tensors !== undefined)
  return sources.length === 0 ? undefined : () => new Map(sources.flatMap((tensors) => [...tensors()]))
}

/** The parts of a run that a checkpoint stores. */
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

/** @param bestStep of the best evaluation by `keep.best` */
export const exportModel = async (
  run: BuiltRun,
  bestStep: number | undefined,
): Promise<{ model: string; modelStep?: number; scores?: FinalScores }> => {
  const { recipe, trainable, average } = run
  const model = join(recipe.out, runFiles.model)
  const snapshots = await listSnapshots(recipe.out)
  const best = recipe.keep.best === undefined ? undefined : snapshots.find(({ step }) => step === bestStep)
  const chosen = best ?? snapshots[0]
  const exported = { model, ...(chosen && { modelStep: chosen.step }) }
  if (run.exportModel === undefined && average === undefined) {
    const weights = join(chosen.path, checkpointFiles.model)
    await writeFolderAtomic(model, (folder) => cp(weights, folder, { recursive: true }))
    return exported
  }
  if (chosen !== undefined && (run.exportModel !== undefined || best !== undefined))
    await readSnapshot(chosen.path, partsOf(run))
  average?.swapIn()
  try {
    if (run.exportModel !== undefined) return { ...exported, scores: await run.exportModel(model) }
    await saveModel(trainable.model, model, { tokenizer: run.tokenizerFiles })
    return exported
  } finally {
    average?.swapOut()
  }
}
