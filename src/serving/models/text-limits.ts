// How many tokens of a text a model reads.
import { maxTextTokens } from '../../features/index.ts'
import { writes } from './answered-paths.ts'
import type { ServedModel } from './served-models.ts'

/** Maximum tokens of a text that is read for its vector: the context, or less by the files of the model. */
export const embeddedTokens = ({ context, text, tokenizer }: ServedModel): number =>
  Math.min(context, maxTextTokens(text.model, tokenizer) ?? context)

/** Maximum tokens of a request: a prompt with its completion, or a text. */
export const maxModelLength = (model: ServedModel): number => (writes(model) ? model.context : embeddedTokens(model))
