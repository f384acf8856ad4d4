// Where in the data the batch of a step began, and which weights it met: from the events of the run and the checkpoints that it has kept.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, parseJson } from '../../core/index.ts'
import { checkpointFiles, outlineEvents, runFiles } from '../../tracking/index.ts'
import { type FoundSnapshot, listSnapshots } from '../../training/index.ts'

/** The version of the recipe in a run's folder; empty where there is none. */
export const recipeVersion = async (folder: string): Promise<string> => {
  const found = await stat(join(folder, runFiles.recipe)).catch(() => undefined)
  return found === undefined ? '' : `${found.ino} ${found.mtimeMs} ${found.size}`
}

export interface BatchLocation {
  /** Loss that was recorded; null for a step that was not completed. */
  loss: number | null
  /** Newest kept checkpoint before the step; undefined for the start of the run. */
  snapshot: FoundSnapshot | undefined
  /** Position in the data at that checkpoint. */
  position: number
  /** Batches that were taken between the checkpoint and the step. */
  batches: number
  /** File of the rollout that the step trained on. */
  rollout: string | undefined
}

/** What the events say: how many batches were taken before the step, and before each checkpoint. */
interface Counts {
  /** Batches before the step; undefined if the run has not reached it. */
  before: number | undefined
  loss: number | null
  rollout: string | undefined
  /** Step of each checkpoint before it, with the batches until then. */
  checkpoints: Map<number, number>
}

/** A batch that failed before weights and schedule went back: it was taken, but has no step. */
const rolledBack = 'roll-back'

/** Reads the events. After a roll-back steps come again, with other batches: the last of a number counts. */
const countBatches = async (folder: string, step: number): Promise<Counts> => {
  const checkpoints = new Map<number, number>()
  const counts: Counts = { before: undefined, loss: null, rollout: undefined, checkpoints: new Map() }
  let batches = 0
  let rollout: string | undefined
  const found = (loss: number | null) =>
    Object.assign(counts, { before: batches, loss, rollout, checkpoints: new Map(checkpoints) })
  await outlineEvents(join(folder, runFiles.events), (event) => {
    if (event.type === 'step') {
      if (event.step === step) found(Number.isFinite(event.loss) ? event.loss : null)
      batches += 1
    } else if (event.type === 'checkpoint') checkpoints.set(event.step, batches)
    else if (event.type === 'rollout') rollout = event.path
    else if (event.type === 'incident') {
      // A run that stops at a step that is not finite names it in an incident only.
      if (event.step === step && counts.before === undefined) found(null)
      if (event.kind === rolledBack) batches += 1
    }
  })
  return counts
}

const positionOf = async ({ path }: FoundSnapshot): Promise<number | undefined> => {
  const file = join(path, checkpointFiles.state)
  // A checkpoint may be pruned while it is looked at.
  const text = await readFile(file, 'utf8').catch(() => undefined)
  const { position } = text === undefined ? {} : (parseJson(text, { path: file }) as { position?: unknown })
  return typeof position === 'number' ? position : undefined
}

/** Finds the batch of a step. @throws DataError for a step that the run has not taken */
export const locateBatch = async (folder: string, step: number): Promise<BatchLocation> => {
  const { before, loss, rollout, checkpoints } = await countBatches(folder, step)
  if (before === undefined) throw new DataError(`The run has no step ${step}. Choose one that it has taken.`, folder)
  for (const snapshot of await listSnapshots(folder)) {
    const taken = checkpoints.get(snapshot.step)
    if (taken === undefined || taken > before) continue
    const position = await positionOf(snapshot)
    if (position !== undefined) return { loss, snapshot, position, batches: before - taken, rollout }
  }
  return { loss, snapshot: undefined, position: 0, batches: before, rollout }
}
