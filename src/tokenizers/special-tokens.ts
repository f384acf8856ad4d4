// The tokens that have a role (start, end, padding …), from the files beside tokenizer.json or by their usual names.
// It knows no tokenizer.
import { isObject, type JsonObject } from './fields.ts'

export const ROLES = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const
export type Role = (typeof ROLES)[number]

export interface SpecialToken {
  token: string
  id: number
}

export type SpecialTokens = Readonly<Partial<Record<Role, SpecialToken>>> & {
  /** Special tokens without one of the roles. */
  readonly additional: readonly SpecialToken[]
}

export const NO_SPECIAL_TOKENS: SpecialTokens = { additional: [] }

const USUAL_NAMES: Record<Role, readonly string[]> = {
  bos: ['<s>', '<|begin_of_text|>', '<bos>'],
  eos: ['</s>', '<|endoftext|>', '<|end_of_text|>', '<eos>', '<|im_end|>'],
  unk: ['[UNK]', '<unk>'],
  sep: ['[SEP]'],
  pad: ['[PAD]', '<pad>'],
  cls: ['[CLS]'],
  mask: ['[MASK]', '<mask>'],
}

/** The text of a token that a file gives as a string or as an object with `content`. */
export const tokenText = (value: unknown): string | undefined => {
  const text = isObject(value) ? value.content : value
  return typeof text === 'string' && text !== '' ? text : undefined
}

/** Names given for roles in tokenizer_config.json or special_tokens_map.json; earlier files win. */
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

/** The roles with their ids; `usual` says whether unnamed roles fall to tokens with a usual name. */
export const resolveRoles = (
  { roles, additional }: ReturnType<typeof namedRoles>,
  idOf: (token: string) => number | undefined,
  { usual }: { usual: boolean },
): SpecialTokens => {
  const resolved: Partial<Record<Role, SpecialToken>> = {}
  for (const role of ROLES) {
    const names = roles[role] !== undefined ? [roles[role]] : usual ? USUAL_NAMES[role] : []
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
