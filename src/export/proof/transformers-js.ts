// transformers.js as the consumer of a folder, where it is installed: its tokenizer and the chat template that it renders.
import { basename, dirname } from 'node:path'
import type { ChatMessage } from '../../tokenizers/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { compareTemplates } from './compare-templates.ts'
import { compareTokenizers } from './compare-tokenizers.ts'

/** What is used of transformers.js, an optional package. */
interface Package {
  env: { version: string; allowRemoteModels: boolean; localModelPath: string }
  AutoTokenizer: { from_pretrained(name: string, options: object): Promise<JsTokenizer> }
}
interface JsTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): number[]
  apply_chat_template(messages: readonly ChatMessage[], options: object): string
}

const packageName = '@huggingface/transformers'

const load = async (): Promise<Package | undefined> => {
  try {
    return (await import(packageName)) as Package
  } catch {
    return undefined
  }
}

/** Opens the tokenizer of a folder without the network. */
const openTokenizer = async ({ env, AutoTokenizer }: Package, folder: string): Promise<JsTokenizer> => {
  const { allowRemoteModels, localModelPath } = env
  Object.assign(env, { allowRemoteModels: false, localModelPath: `${dirname(folder)}/` })
  try {
    return await AutoTokenizer.from_pretrained(basename(folder), { local_files_only: true })
  } finally {
    Object.assign(env, { allowRemoteModels, localModelPath })
  }
}

/** Compares token ids and the rendered template; no rows where transformers.js is not installed. */
export const proveInTransformersJs = async (
  source: ExportSource,
  folder: string,
  texts: readonly string[],
  target: string,
): Promise<ProofRow[]> => {
  const loaded = await load()
  if (loaded === undefined) return []
  const comparison = { target, consumer: `transformers.js ${loaded.env.version}` }
  const tokenizer = await openTokenizer(loaded, folder)
  const encode = (text: string, { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {}) => ({
    ids: tokenizer.encode(text, { add_special_tokens: addSpecialTokens }),
  })
  return [
    compareTokenizers(source, { encode }, texts, comparison),
    ...(await compareTemplates(
      source,
      (messages) => tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true }),
      comparison,
    )),
  ]
}
