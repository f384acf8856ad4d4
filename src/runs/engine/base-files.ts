// The files that a run begins with: those of a model, and of an adapter on it where the base of a recipe is an adapter, or the run of one.
import { dirname, join } from 'node:path'
import { baseOfAdapter, isAdapterFolder } from '../../adapters/index.ts'
import { resolveModel } from '../../checkpoint/index.ts'
import { exists } from '../../core/index.ts'
import { type RunCard, readRunCard } from '../../tracking/index.ts'

/** Where the parts of a base are. */
export interface BaseFiles {
  /** Folder or file of the model. */
  base: string
  /** Folder of the adapter that training begins with; undefined for a model. */
  start: string | undefined
  /** Folder or file with the tokenizer. */
  tokenizer: string
}

/** Finds the files of a recipe's base. @throws CheckpointError for an adapter whose base is not there */
export const findBase = async (choice: string): Promise<BaseFiles> => {
  const found = await resolveModel(choice)
  if (!(await isAdapterFolder(found))) return { base: found, start: undefined, tokenizer: found }
  const base = await resolveModel(await baseOfAdapter(found))
  // An adapter has a tokenizer where it was trained with another chat template than that of its base.
  const hasTokenizer = await exists(join(found, 'tokenizer.json'))
  return { base, start: found, tokenizer: hasTokenizer ? found : base }
}

/** The run card of the run that made a base, which is the run's folder or its model; undefined where there is none. */
export const readBaseCard = async (base: string): Promise<RunCard | undefined> => {
  for (const folder of [base, dirname(base)]) {
    const card = await readRunCard(folder).catch(() => undefined)
    if (card !== undefined) return card
  }
  return undefined
}
