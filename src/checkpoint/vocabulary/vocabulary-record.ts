// Which tokens the rows of a model belong to, in a file beside its weights: written where a vocabulary is changed, and kept by all that is trained
// from there. A tokenizer from before the change is then noticed. Models without such a file may have more rows than tokens, as many do.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { CheckpointError, ConfigError, exists, parseConfig, sha256 } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

/** The file beside the weights. */
const recordFile = 'vocabulary.json'

const recordSchema = z.strictObject({
  tokens: z.int().nonnegative(),
  added: z.record(z.string(), z.int().nonnegative()),
  sha256: z.string(),
})
type VocabularyRecord = z.output<typeof recordSchema>

/** A hash of the texts of the first tokens. */
const hashOf = (tokenizer: Tokenizer, tokens: number): string =>
  sha256(JSON.stringify(Array.from({ length: tokens }, (_, id) => tokenizer.idToToken(id) ?? null)))

/** Writes which tokens the rows of the model in a folder belong to. @param added the new ones among them */
export const writeVocabularyRecord = async (
  folder: string,
  tokenizer: Tokenizer,
  added: readonly string[],
): Promise<void> => {
  const tokens = tokenizer.maxId + 1
  const ids = added.flatMap((text): [string, number][] => {
    const id = tokenizer.tokenToId(text)
    return id === undefined ? [] : [[text, id]]
  })
  const record: VocabularyRecord = { tokens, added: Object.fromEntries(ids), sha256: hashOf(tokenizer, tokens) }
  await writeFile(join(folder, recordFile), `${JSON.stringify(record, null, 2)}\n`)
}

const readRecord = async (folder: string): Promise<VocabularyRecord | undefined> => {
  const path = join(folder, recordFile)
  if (!(await exists(path))) return undefined
  try {
    return parseConfig(recordSchema, JSON.parse(await readFile(path, 'utf8')) as unknown, recordFile)
  } catch (error) {
    throw new CheckpointError(
      `${path}: Expected the tokens that the model has rows for, got ${(error as Error).message.split('\n')[0]} Restore the file, or delete it to open the model unchecked.`,
    )
  }
}

/** Ids of the tokens that were added to the model in a folder, by their texts; empty for one whose vocabulary was not changed. */
export const addedTokens = async (folder: string): Promise<Map<string, number>> =>
  new Map(Object.entries((await readRecord(folder))?.added ?? {}))

const listed = (texts: readonly string[]): string => `${texts.slice(0, 10).join(', ')}${texts.length > 10 ? ', …' : ''}`

/** Tokens in place of images and sounds, for which a model of text has no rows. */
const placeholders = ({ config }: Tokenizer): Set<string> => {
  const own = { ...config, ...(config.extra_special_tokens as object | undefined) } as Record<string, unknown>
  return new Set(
    ['image_token', 'audio_token', 'video_token'].flatMap((role) => (typeof own[role] === 'string' ? [own[role]] : [])),
  )
}

/** @throws ConfigError that names both sizes and the tokens without a row, for a tokenizer that is larger than its model */
export const expectVocabulary = (tokenizer: Tokenizer, rows: number): void => {
  const { maxId } = tokenizer
  if (maxId < rows) return
  const lacking = Array.from({ length: maxId + 1 - rows }, (_, i) => tokenizer.idToToken(rows + i)).filter(
    (text) => text !== undefined,
  )
  const never = placeholders(tokenizer)
  if (lacking.every((text) => never.has(text))) return
  throw new ConfigError(
    `Expected a model with a row for each of the ${maxId + 1} tokens of the tokenizer, got ${rows} rows: ${listed(lacking)} have none. Grow the model with \`vocabulary grow\`, or use its own tokenizer.`,
  )
}

/**
 * Compares a tokenizer with the model that it is opened with.
 * @param folder of the model, whose record is read; undefined where it has none, such as a GGUF file
 * @param rows of the model's embeddings
 * @throws ConfigError that names tokens, for a tokenizer with more tokens than rows, and for one from before the vocabulary was changed
 */
export const expectTokenizerOf = async (
  folder: string | undefined,
  tokenizer: Tokenizer,
  rows: number,
): Promise<void> => {
  expectVocabulary(tokenizer, rows)
  const record = folder === undefined ? undefined : await readRecord(folder)
  if (record === undefined) return
  const lacking = Object.entries(record.added).flatMap(([text, id]) => (tokenizer.tokenToId(text) === id ? [] : [text]))
  if (lacking.length > 0)
    throw new ConfigError(
      `Expected the tokenizer that ${folder} was written with, got one without ${listed(lacking)}, which the model has rows for: a tokenizer from before they were added. Restore tokenizer.json and the files beside it, or copy them from a model trained from this one.`,
    )
  if (hashOf(tokenizer, record.tokens) !== record.sha256)
    throw new ConfigError(
      `Expected the tokenizer that ${folder} was written with, got one whose first ${record.tokens} tokens are others. Restore tokenizer.json and the files beside it, or give the model this tokenizer with \`vocabulary swap\`.`,
    )
}

interface TokenizerJson {
  model: {
    type?: string
    vocab: Record<string, number> | [string, number][]
    merges?: unknown[]
    unk_id?: number | null
  }
  added_tokens?: { id: number; content: string }[]
  post_processor?: unknown
}

const pairOf = (merge: unknown): [string, string] =>
  Array.isArray(merge) ? (merge as [string, string]) : ((merge as string).split(' ') as [string, string])

/** All tokens of a model with their ids. */
const tokensOf = ({ model: { vocab } }: TokenizerJson): [string, number][] =>
  Array.isArray(vocab) ? vocab.map(([token], id) => [token, id]) : Object.entries(vocab)

/**
 * The ids that a tokenizer needs to encode some texts as before: those that occur, with the parts that merges make them of, single
 * characters and bytes, and added tokens.
 */
export const neededIds = (tokenizer: Tokenizer, occurring: ReadonlySet<number>): Set<number> => {
  // The fields were checked when the tokenizer was loaded.
  const json = tokenizer.toJson() as unknown as TokenizerJson
  const ids = new Map(tokensOf(json))
  const needed = new Set(occurring)
  for (const { id } of json.added_tokens ?? []) needed.add(id)
  for (const [token, id] of ids) {
    const isByte = /^<0x[0-9A-F]{2}>$/.test(token)
    if (isByte || Array.from(token.replace(/^##/, '')).length === 1) needed.add(id)
  }
  for (const { id } of Object.values(tokenizer.special).flat()) needed.add(id)
  // Merges are in the order of training: a token is made of earlier ones.
  for (const merge of [...(json.model.merges ?? [])].reverse()) {
    const [left, right] = pairOf(merge)
    if (!needed.has(ids.get(left + right.replace(/^##/, '')) ?? -1)) continue
    for (const part of [left, right]) needed.add(ids.get(part) ?? -1)
  }
  needed.delete(-1)
  return needed
}

/** Ids inside of a post-processor: those of templates, and pairs of a token and its id. */
const withNewIds = (value: unknown, idOf: ReadonlyMap<number, number>): unknown => {
  const mapped = (id: number) => idOf.get(id) ?? id
  if (Array.isArray(value)) {
    if (value.length === 2 && typeof value[0] === 'string' && typeof value[1] === 'number')
      return [value[0], mapped(value[1])]
    return value.map((one) => withNewIds(one, idOf))
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      name === 'ids' && Array.isArray(one) ? (one as number[]).map(mapped) : withNewIds(one, idOf),
    ]),
  )
}

/** The JSON of a tokenizer with the tokens of `idOf` only, under their new ids. */
export const withTokens = (tokenizer: Tokenizer, idOf: ReadonlyMap<number, number>): object => {
  // The fields were checked when the tokenizer was loaded.
  const json = structuredClone(tokenizer.toJson()) as unknown as TokenizerJson
  const { model } = json
  const kept = tokensOf(json).filter(([, id]) => idOf.has(id))
  const names = new Set(kept.map(([token]) => token))
  if (Array.isArray(model.vocab)) {
    const { vocab, unk_id: unknown } = model
    model.vocab = vocab.filter((_, id) => idOf.has(id))
    if (typeof unknown === 'number') model.unk_id = idOf.get(unknown) ?? null
  } else model.vocab = Object.fromEntries(kept.map(([token, id]) => [token, idOf.get(id) as number]))
  if (model.merges !== undefined)
    model.merges = model.merges.filter((merge) => {
      const [left, right] = pairOf(merge)
      return names.has(left) && names.has(right) && names.has(left + right.replace(/^##/, ''))
    })
  json.added_tokens = (json.added_tokens ?? []).map((token) => ({ ...token, id: idOf.get(token.id) ?? token.id }))
  json.post_processor = withNewIds(json.post_processor, idOf)
  return json
}

/** The text of a token as a part of running text: a space where a word begins, for all types of tokenizers. */
export const surfaceOf = (tokenizer: Tokenizer): ((id: number) => string | undefined) => {
  const { decoderTypes } = tokenizer
  const bytes = decoderTypes.includes('ByteLevel')
  const wordPieces = decoderTypes.includes('WordPiece')
  const added = new Set(tokenizer.addedTokens.map(({ id }) => id))
  return (id) => {
    const token = tokenizer.idToToken(id)
    if (token === undefined || added.has(id)) return token
    if (bytes) {
      const text = tokenizer.decode([id], { skipSpecialTokens: false })
      // Part of a character.
      return text.includes('\ufffd') ? `\0${token}` : text
    }
    if (wordPieces) return token.startsWith('##') ? token.slice(2) : ` ${token}`
    return token.replaceAll('▁', ' ')
  }
}
