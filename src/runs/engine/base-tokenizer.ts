// The tokenizer of a run beside that of its base: the rows of a base belong to the tokens that it was trained with.
import { addedTokens, loadTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { findBase } from './base-files.ts'

/** What names a base and a tokenizer. */
interface BaseAndTokenizer {
  base: string
  /** Tokenizer of the run (default: the base's own). */
  tokenizer?: string
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
  { base, tokenizer: source }: BaseAndTokenizer,
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
