// Writes a tokenizer's files into a folder.
import { join } from 'node:path'
import { writeFileAtomic } from '../core/index.ts'
import type { JsonObject } from './fields.ts'
import { ROLES } from './special-tokens.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Writes tokenizer.json, tokenizer_config.json and the model's older vocabulary files; returns the file names. */
export const saveTokenizer = async (tokenizer: Tokenizer, folder: string): Promise<string[]> => {
  const files: Record<string, string> = {
    'tokenizer.json': `${JSON.stringify(tokenizer.toJson(), null, 2)}\n`,
    'tokenizer_config.json': `${JSON.stringify(configOf(tokenizer), null, 2)}\n`,
    ...tokenizer.model.files(),
  }
  for (const [name, content] of Object.entries(files)) await writeFileAtomic(join(folder, name), content)
  return Object.keys(files)
}

const configOf = (tokenizer: Tokenizer): JsonObject => {
  const { special } = tokenizer
  const roles = Object.fromEntries(
    ROLES.flatMap((role) => (special[role] === undefined ? [] : [[`${role}_token`, special[role].token]])),
  )
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...(tokenizer.maxLength === undefined ? {} : { model_max_length: tokenizer.maxLength }),
    padding_side: tokenizer.paddingSide,
    truncation_side: tokenizer.truncationSide,
    ...roles,
    ...(tokenizer.chatTemplate === undefined ? {} : { chat_template: tokenizer.chatTemplate }),
    ...tokenizer.config,
  }
}
