// Floating point numbers in config.json: Python tells 1.0 from 1 and transformers refuses one for the other, while
// JavaScript has one number type. So the names of fields with a decimal point are remembered, and written with one.

const numberField = /"((?:[^"\\]|\\.)*)"(?:(\s*:\s*)(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))?/g

/** Names of the fields with floating point numbers in a JSON text. */
export const floatsOf = (text: string): Set<string> => {
  const names = new Set<string>()
  for (const [, name, , value] of text.matchAll(numberField))
    if (value !== undefined && /[.eE]/.test(value)) names.add(name)
  return names
}

/** JSON text in which whole numbers of the fields in `floats` have a decimal point. */
export const stringifyConfig = (fields: unknown, floats: ReadonlySet<string>): string =>
  `${JSON.stringify(fields, null, 2)}\n`.replace(numberField, (all, name: string, between?: string, value?: string) =>
    value !== undefined && floats.has(name) && /^-?\d+$/.test(value) ? `"${name}"${between}${value}.0` : all,
  )
