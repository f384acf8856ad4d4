// The files that a run begins with: those of a model, and of an adapter on it where the base of a recipe is an adapter, or the run of one.
import { dirname, join, resolve } from 'node:path'
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

/**
 * What was opened for a base that is a run or an adapter, as a sentence for people; none for the folder of a model.
 * @param how whether training changes the base itself, and whether the head of an adapter is used
 */
export const describeBase = async (
  choice: string,
  { base, start }: Pick<BaseFiles, 'base' | 'start'>,
  { inPlace, hasHead }: { inPlace: boolean; hasHead: boolean },
): Promise<string[]> => {
  const found = start ?? base
  if (start === undefined && (resolve(found) === resolve(choice) || !(await exists(choice)))) return []
  const card = await readBaseCard(found)
  const step = card?.modelStep ?? card?.steps
  const of = step === undefined ? '' : `, the model of step ${step} of its run`
  if (start === undefined) return [`Opened ${found} for \`base\`${of}.`]
  const fate = inPlace ? 'merged into the base, which this run trains' : 'trained further by this run'
  return [`Opened the adapter ${start} on ${base}${of}: it is ${fate}${hasHead ? ', with its head' : ''}.`]
}

/** The run card of the run that made a base, which is the run's folder or its model; undefined where there is none. */
export const readBaseCard = async (base: string): Promise<RunCard | undefined> => {
  for (const folder of [base, dirname(base)]) {
    const card = await readRunCard(folder).catch(() => undefined)
    if (card !== undefined) return card
  }
  return undefined
}
