// Special tokens by role (start, end, padding …), from the configuration files or by their conventional names.
// Independent of the tokenizer.
import { isObject, type JsonObject } from './fields.ts'

/** The roles of special tokens, named as in `bos_token`, `eos_token` … of tokenizer_config.json. */
export const ROLES = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const
/** The role of a special token. */
export type Role = (typeof ROLES)[number]

/** A special token with its id. */
export interface SpecialToken {
  token: string
  id: number
}

/** The special tokens of a tokenizer by role. */
export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>> & {
  /** Special tokens without a role. */
  readonly additional: readonly SpecialToken[]
}

/** No special tokens. */
export const NO_SPECIAL_TOKENS: SpecialTokens = { additional: [] }

/** Usual names of end tokens. */
export const eosNames: readonly string[] = ['</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>', '<|im_end|>']

const CONVENTIONAL_NAMES: Record<Role, readonly string[]> = {
  bos: ['<s>', '<|begin_of_text|>', '<bos>'],
  eos: eosNames,
  unk: ['[UNK]', '<unk>'],
  sep: ['[SEP]'],
  pad: ['[PAD]', '<pad>'],
  cls: ['[CLS]'],
  mask: ['[MASK]', '<mask>'],
}

/** The JSON form of a special token that is matched as it is written. */
export const specialTokenJson = (id: number, content: string): JsonObject => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

/**
 * The JSON form of the post-processor that puts special tokens around one text and around two; `ids` has the tokens in
 * the order in which they are listed.
 */
export const framingJson = (
  before: readonly string[],
  after: readonly string[],
  second: { before: readonly string[]; type: number },
  ids: readonly (readonly [token: string, id: number])[],
): JsonObject => {
  const marks = (tokens: readonly string[], type: number) =>
    tokens.map((token) => ({ SpecialToken: { id: token, type_id: type } }))
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } })
  const single = [...marks(before, 0), sequence('A', 0), ...marks(after, 0)]
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, ...marks(second.before, second.type), sequence('B', second.type), ...marks(after, second.type)],
    special_tokens: Object.fromEntries(ids.map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }])),
  }
}

/** The text of a token, given as a string or as an object with `content`. */
export const tokenText = (value: unknown): string | undefined => {
  const text = isObject(value) ? value.content : value
  return typeof text === 'string' && text !== '' ? text : undefined
}

/** Tokens by role in tokenizer_config.json and special_tokens_map.json; earlier files take precedence. */
export const namedRoles = (
  files: readonly JsonObject[],
): {
  roles: Partial<Record<Role, string>>
  additional: string[]
} => {
  const roles: Partial<Record<Role, string>> = {}
  const additional: string[] = []
  for (const file of files) {
    for (const role of ROLES) roles[role] ??= tokenText(file[`${role}_token`])
    const list = file.additional_special_tokens ?? file.extra_special_tokens
    if (Array.isArray(list)) for (const item of list) additional.push(tokenText(item) ?? '')
  }
  return { roles, additional: [...new Set(additional)].filter((text) => text !== '') }
}

/** Looks up the ids of the roles; with `conventional`, roles that no file names use tokens of a conventional name. */
export const resolveRoles = (
  { roles, additional }: ReturnType<typeof namedRoles>,
  idOf: (token: string) => number | undefined,
  { conventional }: { conventional: boolean },
): SpecialTokens => {
  const resolved: Partial<Record<Role, SpecialToken>> = {}
  for (const role of ROLES) {
    const names = roles[role] !== undefined ? [roles[role]] : conventional ? CONVENTIONAL_NAMES[role] : []
    for (const token of names) {
      const id = idOf(token)
      if (id !== undefined) resolved[role] ??= { token, id }
    }
  }
  const others = additional.flatMap((token) => {
    const id = idOf(token)
    return id === undefined ? [] : [{ token, id }]
  })
  return { ...resolved, additional: others }
}
