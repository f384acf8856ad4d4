// The files that a run begins with: those of a model, and of an adapter on it where the base of a recipe is an adapter, or the run of one; and
// whether the tokenizer of the run fits them.
import { dirname, join, resolve } from 'node:path'
import { baseOfAdapter, isAdapterFolder } from '../../adapters/index.ts'
import { addedTokens, loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, exists } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type RunCard, readRunCard } from '../../tracking/index.ts'
import type { BaseRecipe } from './base-settings.ts'

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

/** At most three texts, and how many there are. */
const listed = (texts: readonly string[]): string =>
  `${texts
    .slice(0, 3)
    .map((text) => JSON.stringify(text))
    .join(', ')}${texts.length > 3 ? ' …' : ''}`

/**
 * Compares the tokenizer of a run with the base's own, if the base has one, and with the tokens that were added to the base.
 * @returns a sentence for people where the base has rows for tokens that the tokenizer lacks, as after `vocabulary grow`
 * @throws ConfigError for a tokenizer that gives tokens of the base other ids
 */
export const checkBaseTokenizer = async (
  { base, tokenizer: source }: Pick<BaseRecipe, 'base' | 'tokenizer'>,
  tokenizer: Tokenizer,
): Promise<string[]> => {
  if (source === undefined) return []
  const files = await findBase(base)
  // A base without a usable tokenizer has nothing to compare with.
  const own = await loadTokenizer(files.tokenizer).catch(() => undefined)
  // Tokens that were added to the base, whose own tokenizer may be the one from before, too.
  const known = await addedTokens(files.base)
  const isOld = [...known].some(([text, id]) => own?.tokenToId(text) !== id)
  for (let id = 0; id <= (own?.maxId ?? -1); id++) {
    const text = own?.idToToken(id)
    if (text !== undefined) known.set(text, id)
  }
  const lacking: string[] = []
  const moved: string[] = []
  for (const [text, id] of known) {
    const other = tokenizer.tokenToId(text)
    if (other === undefined) lacking.push(text)
    else if (other !== id) moved.push(`${JSON.stringify(text)} is ${other} and not ${id}`)
  }
  if (moved.length > 0)
    throw new ConfigError(
      `Expected a tokenizer with the ids of the base's own for \`tokenizer\`, got ${source}, in which ${moved.length} ${moved.length === 1 ? 'token has another id' : 'tokens have other ids'}: ${moved[0]}. Leave out \`tokenizer\`, or give the base this tokenizer with \`vocabulary swap\`.`,
    )
  if (lacking.length === 0) return []
  return [
    `The tokenizer ${source} lacks ${lacking.length} ${lacking.length === 1 ? 'token' : 'tokens'} of the base's own: ${listed(lacking)}. Their rows are not used. To use them, ${isOld ? `restore tokenizer.json in ${files.base}, which lacks them too` : 'leave out `tokenizer`'}.`,
  ]
}
