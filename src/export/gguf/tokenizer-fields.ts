// The metadata of a byte-level BPE tokenizer. llama.cpp knows pre-tokenizers by name: the name is chosen by the structure of
// tokenizer.json, and ids are compared when the file is read back.
import { ggufPreTokenizer } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ExportSource } from '../export-target.ts'
import { count, flag, type GgufField, integers, text } from './gguf-file.ts'

type JsonObject = Record<string, unknown>

const kinds = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const

const refuse = (what: string): never => {
  throw new ConfigError(
    `Expected a tokenizer that llama.cpp has for \`gguf\`, got ${what}. Export to merged instead, or train a byte-level BPE tokenizer.`,
  )
}

/** Name of the pre-tokenizer. @throws ConfigError for a tokenizer that GGUF cannot express */
export const preTokenizerName = ({ tokenizer }: ExportSource): string => {
  const json = tokenizer.toJson()
  const model = json.model as JsonObject
  if (!Array.isArray(model.merges)) return refuse(`one of the type ${String(model.type)}`)
  if (model.byte_fallback === true) return refuse('a SentencePiece tokenizer')
  const normalizer = json.normalizer as JsonObject | null | undefined
  // Qwen's tokenizers normalise to NFC, and llama.cpp leaves that out, too.
  if (normalizer && normalizer.type !== 'NFC') return refuse(`one with the normalizer ${String(normalizer.type)}`)
  return (
    ggufPreTokenizer(json) ??
    refuse(`a split that no name of \`tokenizer.ggml.pre\` has: ${JSON.stringify(json.pre_tokenizer)}`)
  )
}

const mergesOf = (model: JsonObject): string[] =>
  (model.merges as (string | [string, string])[]).map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))

/** The fields `tokenizer.*`. @param vocabSize rows of the embedding: tokens that the tokenizer lacks are filled up */
export const tokenizerFields = (source: ExportSource, vocabSize: number): Map<string, GgufField> => {
  const { tokenizer, chatTemplate, generation } = source
  const added = new Map(tokenizer.addedTokens.map(({ id, token }) => [id, token]))
  if (tokenizer.maxId >= vocabSize)
    throw new ConfigError(
      `Expected a tokenizer with ids below ${vocabSize}, the rows of the embedding, got ${tokenizer.maxId}. Use the tokenizer that the model was trained with.`,
    )
  const tokens = Array.from({ length: vocabSize }, (_, id) => tokenizer.idToToken(id))
  const kindOf = (id: number, token: string | undefined) => {
    const own = added.get(id)
    if (token === undefined) return kinds.unused
    return own === undefined ? kinds.normal : own.special ? kinds.control : kinds.userDefined
  }
  const { bos, eos, pad, unk, mask } = tokenizer.special
  const plain = tokenizer.encode('a', { addSpecialTokens: false }).ids
  const framed = tokenizer.encode('a').ids
  const extra = framed.length - plain.length
  const startsWithBos = extra > 0 && framed[0] === bos?.id && plain[0] !== bos.id
  const endsWithEos = extra > (startsWithBos ? 1 : 0) && framed.at(-1) === eos?.id
  const fields = new Map<string, GgufField>([
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text(preTokenizerName(source))],
    ['tokenizer.ggml.tokens', text(tokens.map((token, id) => token ?? `[PAD${id}]`))],
    ['tokenizer.ggml.token_type', integers(tokens.map((token, id) => kindOf(id, token)))],
    ['tokenizer.ggml.merges', text(mergesOf(tokenizer.toJson().model as JsonObject))],
    ['tokenizer.ggml.add_bos_token', flag(startsWithBos)],
    ['tokenizer.ggml.add_eos_token', flag(endsWithEos)],
    ['tokenizer.ggml.add_space_prefix', flag(false)],
  ])
  const roles = { bos, eos, padding: pad, unknown: unk, mask }
  for (const [role, token] of Object.entries(roles))
    if (token !== undefined) fields.set(`tokenizer.ggml.${role}_token_id`, count(token.id))
  const turn = [generation.eosTokenIds ?? []].flat().find((id) => id !== eos?.id)
  if (turn !== undefined) fields.set('tokenizer.ggml.eot_token_id', count(turn))
  if (chatTemplate !== undefined) fields.set('tokenizer.chat_template', text(chatTemplate))
  return fields
}
