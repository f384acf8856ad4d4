// transformers.js as the consumer of a folder, where it is installed: its tokenizer and the chat template that it renders.
import { basename, dirname } from 'node:path'
import type { ChatMessage } from '../../tokenizers/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { compareTemplates } from './compare-templates.ts'
import { compareTokenizers } from './compare-tokenizers.ts'
import { type ConsumerPackage, openConsumer } from './consumer.ts'

/** What is used of transformers.js, an optional package. */
interface Package {
  env: { version: string; allowRemoteModels: boolean; localModelPath: string }
  AutoTokenizer: { from_pretrained(name: string, options: object): Promise<JsTokenizer> }
}
interface JsTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): number[]
  apply_chat_template(messages: readonly ChatMessage[], options: object): string
}

const transformersJs: ConsumerPackage<Package> = {
  name: '@huggingface/transformers',
  oldest: '4.0.0',
  versionOf: ({ env }) => env.version,
  without: 'Tokenizer and chat template were not opened in transformers.js',
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

/** Compares token ids and the rendered template; no rows where transformers.js is not installed or too old, which is noted. */
export const proveInTransformersJs = async (
  source: ExportSource,
  folder: string,
  texts: readonly string[],
  { target, note }: { target: string; note(line: string): void },
): Promise<ProofRow[]> => {
  const opened = await openConsumer(transformersJs, note)
  if (opened === undefined) return []
  const { module } = opened
  const comparison = { target, consumer: `transformers.js ${module.env.version}` }
  const tokenizer = await openTokenizer(module, folder)
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
