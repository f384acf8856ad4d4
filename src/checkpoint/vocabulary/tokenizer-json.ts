// The JSON of a tokenizer with some of its tokens only, and the surface text of tokens, by which two tokenizers are compared.
import type { Tokenizer } from '../../tokenizers/index.ts'

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
