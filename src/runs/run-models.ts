// The models of a run: the finished one, and those of its checkpoints while it trains or was stopped.
import { join } from 'node:path'
import { isAdapterFolder } from '../adapters/index.ts'
import { CheckpointError, exists } from '../core/index.ts'
import { checkpointFiles, runFiles } from '../tracking/index.ts'
import { listSnapshots } from '../training/index.ts'

/** A model of a run. */
export interface RunModel {
  /** Folder with the files of the model. */
  path: string
  /** Step of its checkpoint; undefined for the finished model. */
  step: number | undefined
}

/** A name of a model of a run: `run:FOLDER`, `run:FOLDER@STEP`, or `run:FOLDER@live`. */
export interface RunReference {
  folder: string
  /** Step of a checkpoint; `live` for the weights in training, and undefined for the newest model. */
  step: number | 'live' | undefined
}

/** The reference that a text is; undefined for another name of a model. */
export const parseRunReference = (text: string): RunReference | undefined => {
  if (!text.startsWith('run:')) return undefined
  const [, folder = '', step] = /^run:(.+?)(?:@(\d+|live))?$/.exec(text) ?? []
  return { folder, step: step === undefined || step === 'live' ? step : Number(step) }
}

/** The models of a run that exist now: the finished one first, then checkpoints, newest first. */
export const listRunModels = async (folder: string): Promise<RunModel[]> => {
  const finished = join(folder, runFiles.model)
  const opens = async (model: string) => (await exists(join(model, 'config.json'))) || isAdapterFolder(model)
  const checkpoints: RunModel[] = []
  for (const { path, step } of await listSnapshots(folder)) {
    const model = join(path, checkpointFiles.model)
    // One that is damaged, or removed at this moment, is no model.
    if (await opens(model)) checkpoints.push({ path: model, step })
  }
  return [...((await exists(finished)) ? [{ path: finished, step: undefined }] : []), ...checkpoints]
}

/**
 * The model that a reference names: without a step the finished one, and until the run has finished that of its newest checkpoint.
 * @throws CheckpointError for a run without such a model
 */
export const findRunModel = async (reference: string): Promise<RunModel> => {
  const { folder = '', step } = parseRunReference(reference) ?? {}
  if (step === 'live')
    throw new CheckpointError(
      `\`${reference}\` has no files: its weights are in the process that trains. Write run:FOLDER for the newest checkpoint.`,
    )
  if (!(await exists(join(folder, runFiles.recipe))))
    throw new CheckpointError(
      `Expected a run for \`${reference}\`, found none in \`${folder}\`. Write run:FOLDER@STEP.`,
    )
  const models = await listRunModels(folder)
  const found = step === undefined ? models[0] : models.find((model) => model.step === step)
  if (found !== undefined) return found
  const steps = models.flatMap((model) => (model.step === undefined ? [] : [model.step]))
  throw new CheckpointError(
    step === undefined
      ? `\`${reference}\` needs a checkpoint: the run has written none yet.`
      : `Expected a step with a checkpoint for \`${reference}\`, got ${step}. Choose one of ${steps.join(', ') || 'none'}.`,
  )
}
