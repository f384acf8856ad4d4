// Reads the parts of a tokenizer.json that are chosen by their `type`: model, normalizers, pre-tokenizers, post-processors
// and decoders.
import { Fields, throwInvalid } from './fields.ts'

/** Reads the JSON form of one type; `nested` reads a part of the same kind inside it. */
export type ComponentType<Component> = (
  fields: Fields,
  nested: (value: unknown, where: string) => Component,
) => Component

/** Deeper files throw an error instead of overflowing the stack. */
const MAX_DEPTH = 16

/** The reader of a section of tokenizer.json, which throws DataError. `typeOf` also knows the type in older files. */
export const componentReader = <Component>(
  section: string,
  types: Readonly<Record<string, ComponentType<Component>>>,
  typeOf = (fields: Fields) => fields.string('type'),
): ((value: unknown) => Component) => {
  const read = (value: unknown, where: string, depth: number): Component => {
    if (depth > MAX_DEPTH) throwInvalid(`at most ${MAX_DEPTH} nested sequences`, where, 'more')
    const fields = new Fields(value, where)
    const type = typeOf(fields)
    if (!Object.hasOwn(types, type)) throwInvalid(`one of ${Object.keys(types).join(', ')}`, fields.at('type'), type)
    return types[type](fields, (inner, innerWhere) => read(inner, innerWhere, depth + 1))
  }
  return (value) => read(value, section, 0)
}

/** The parts of a sequence in the list `key`. */
export const readParts = <Component>(
  fields: Fields,
  key: string,
  nested: (value: unknown, where: string) => Component,
): Component[] => fields.list(key).map((value, i) => nested(value, `${fields.at(key)}[${i}]`))

/**
 * Whether text may be split before encoding without changing the token ids: follows a split point before one of the
 * characters `leads` through all `parts`. Returns the characters that may follow the split point afterwards, '' if a
 * part always splits there, or undefined if a split there could change the result.
 */
export const safeSplitBeforeAll = (
  parts: readonly { safeSplitBefore?(lead: string): string | undefined }[],
  leads: string,
): string | undefined => {
  let now: string | undefined = leads
  for (const part of parts) {
    if (now === '' || now === undefined) return now
    const after = new Set<string>()
    for (const lead of now) {
      const result: string | undefined = part.safeSplitBefore?.(lead)
      if (result === undefined) return undefined
      if (result === '') after.add('')
      for (const character of result) after.add(character)
    }
    // If only some of the characters always split, the split point must hold for the others too.
    now = after.size === 1 && after.has('') ? '' : [...after].join('')
  }
  return now
}
