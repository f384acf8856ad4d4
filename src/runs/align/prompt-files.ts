// What an aligned model, or a checkpoint of one, needs beside its weights: the chat template of its prompts, and an adapter's tokenizer.
import type { AppliedAdapter } from '../../adapters/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { writeTextFiles } from '../finetune/specialist-files.ts'
import type { AlignRecipe } from './recipe.ts'

/** What decides on the files. */
export interface PromptFiles {
  recipe: Pick<AlignRecipe, 'tokenizer'>
  applied: Pick<AppliedAdapter, 'inPlace'>
  tokenizer: Tokenizer
  /** Whether prompts are conversations, and the encoder with their template. */
  prompts: { usesTemplate: boolean; encoder: { template: string } }
}

/** Writes the files into the folder of a model. */
export const writePromptFiles = async (
  folder: string,
  { recipe, applied, tokenizer, prompts: { usesTemplate, encoder } }: PromptFiles,
): Promise<void> =>
  writeTextFiles(folder, {
    tokenizer,
    template: usesTemplate ? encoder.template : undefined,
    own: !applied.inPlace && (usesTemplate || recipe.tokenizer !== undefined),
  })
