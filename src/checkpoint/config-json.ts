// Numbers of config.json as Python reads them: 1.0 is not 1 there, and transformers refuses one for the other, while JavaScript has
// one kind. Fields are remembered by name. Knows no field.

const numberField = /"((?:[^"\\]|\\.)*)"(?:(\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))?/g

/** Names of the fields that are written as floating point numbers in a JSON text. */
export const floatsOf = (text: string): Set<string> => {
  const names = new Set<string>()
  for (const [, name, , value] of text.matchAll(numberField))
    if (value !== undefined && /[.eE]/.test(value)) names.add(name)
  return names
}

/** JSON whose whole numbers have a point where `floats` names their field. */
export const stringifyConfig = (fields: unknown, floats: ReadonlySet<string>): string =>
  `${JSON.stringify(fields, null, 2)}\n`.replace(numberField, (all, name: string, between?: string, value?: string) =>
    value !== undefined && floats.has(name) && /^-?\d+$/.test(value) ? `"${name}"${between}${value}.0` : all,
  )
