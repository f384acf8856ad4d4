// Which models write text, one token after another.
import type { Model } from '../model-with-head.ts'
import { LanguageHead } from './language-head.ts'

type Writer = Pick<Model, 'head' | 'facts'>

/** Whether a model continues a text: a decoder. */
export const continuesText = ({ head, facts }: Writer): boolean => head instanceof LanguageHead && facts.causal

/** Whether a model writes text at all: a decoder, or an encoder with a decoder. */
export const writesText = (model: Writer): boolean =>
  continuesText(model) || (model.head instanceof LanguageHead && model.facts.decoderStartTokenId !== undefined)
