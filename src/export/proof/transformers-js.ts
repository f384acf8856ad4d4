// transformers.js as the consumer of a folder, where it is installed: its tokenizer, the chat template that it renders, and the
// tokens that it generates with its own cache and its own reading of config.json.
import { basename, dirname } from 'node:path'
import { Seq2SeqLmHead } from '../../models/index.ts'
import type { ChatMessage } from '../../tokenizers/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { compareContinuations } from './compare-models.ts'
import { compareTemplates, compareTokenizers } from './compare-tokenizers.ts'
import { type ConsumerPackage, openConsumer, type ProofInput } from './runner.ts'

/** What is used of transformers.js, an optional package. */
interface Package {
  env: { version: string; allowRemoteModels: boolean; localModelPath: string }
  AutoTokenizer: { from_pretrained(name: string, options: object): Promise<JsTokenizer> }
  AutoModelForCausalLM: AutoModel
  AutoModelForSeq2SeqLM: AutoModel
  Tensor: new (type: 'int64', values: BigInt64Array, shape: readonly number[]) => object
}
interface AutoModel {
  from_pretrained(name: string, options: object): Promise<JsModel>
}
interface JsModel {
  generate(options: object): Promise<{ data: BigInt64Array }>
  dispose(): Promise<unknown>
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

/** Opens something of a folder without the network. */
const openLocally = async <Opened>(
  { env }: Package,
  folder: string,
  use: (name: string) => Promise<Opened>,
): Promise<Opened> => {
  const { allowRemoteModels, localModelPath } = env
  Object.assign(env, { allowRemoteModels: false, localModelPath: `${dirname(folder)}/` })
  try {
    return await use(basename(folder))
  } finally {
    Object.assign(env, { allowRemoteModels, localModelPath })
  }
}

/** What generation_config.json may set, without which the most likely token is taken. */
const plainGreedy = {
  do_sample: false,
  num_beams: 1,
  repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  bad_words_ids: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  min_length: 0,
  min_new_tokens: null,
}

/**
 * Compares the tokens that transformers.js generates with the model's.
 * @param dtype name of the files' form, as transformers.js has it
 * @param limit tolerance of logits
 * @param note gets a line where nothing is generated
 */
export const generateInTransformersJs = async (
  source: ExportSource,
  folder: string,
  texts: readonly string[],
  { target, dtype, limit, note }: { target: string; dtype: string; limit: number; note(line: string): void },
): Promise<ProofRow[]> => {
  // Whether it can be used, the comparison of tokenizers has said.
  const opened = await openConsumer(transformersJs, () => undefined)
  if (opened === undefined) return []
  const { module } = opened
  const consumer = `transformers.js ${module.env.version}`
  const skipped = (reason: string) => note(`Greedy tokens were not compared in ${consumer}: ${reason}.`)
  const seq2seq = source.model.head instanceof Seq2SeqLmHead
  const auto = seq2seq ? module.AutoModelForSeq2SeqLM : module.AutoModelForCausalLM
  const options = { dtype, device: 'cpu', local_files_only: true }
  let model: JsModel | undefined
  try {
    const generate = async ({ ids }: ProofInput, most: number) => {
      model ??= await openLocally(module, folder, (name) => auto.from_pretrained(name, options))
      const tensor = (values: readonly number[]) =>
        new module.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
      const { data } = await model.generate({
        ...plainGreedy,
        input_ids: tensor(ids),
        attention_mask: tensor(ids.map(() => 1)),
        max_new_tokens: most,
      })
      return Array.from(data, Number).slice(seq2seq ? 1 : ids.length)
    }
    return await compareContinuations(source, texts, { target, consumer, limit }, generate, skipped)
  } catch (error) {
    const { message } = error as Error
    // A type that it does not have yet is no fault of the files.
    if (/^Unsupported model type/.test(message)) {
      skipped(message)
      return []
    }
    return [{ target, consumer, check: 'greedy tokens', value: 'none', ok: false, detail: message.slice(0, 300) }]
  } finally {
    await model?.dispose()
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
  const tokenizer = await openLocally(module, folder, (name) =>
    module.AutoTokenizer.from_pretrained(name, { local_files_only: true }),
  )
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
