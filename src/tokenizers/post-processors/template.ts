// The TemplateProcessing post-processor: combines sequences and special tokens by a template.
import { Encoding } from '../encoding.ts'
import { Fields, integer, type JsonObject, throwInvalid } from '../fields.ts'
import { definePostProcessor } from './post-processor.ts'

type Part = { sequence: number; typeId: number } | { ids: number[]; tokens: string[]; typeId: number }

const readSpecials = (specials: JsonObject, where: string): Map<string, { ids: number[]; tokens: string[] }> => {
  const result = new Map<string, { ids: number[]; tokens: string[] }>()
  for (const name of Object.keys(specials)) {
    const fields = new Fields(specials[name], `${where}.${name}`)
    const ids = fields.list('ids').map((id, i) => integer(id, `${fields.at('ids')}[${i}]`))
    const tokens = fields.list('tokens').map((token) => String(token))
    if (ids.length !== tokens.length) throwInvalid(`${ids.length} tokens`, fields.at('tokens'), tokens)
    result.set(name, { ids, tokens })
  }
  return result
}

const readTemplate = (
  list: readonly unknown[],
  where: string,
  specials: ReadonlyMap<string, { ids: number[]; tokens: string[] }>,
): Part[] =>
  list.map((item, i) => {
    const fields = new Fields(item, `${where}[${i}]`)
    if (fields.has('Sequence')) {
      const sequence = new Fields(fields.get('Sequence'), fields.at('Sequence'))
      return { sequence: sequence.oneOf('id', ['A', 'B']) === 'A' ? 0 : 1, typeId: sequence.integer('type_id') }
    }
    const token = new Fields(fields.get('SpecialToken'), fields.at('SpecialToken'))
    const special = specials.get(token.string('id'))
    if (special === undefined) throwInvalid('a name from special_tokens', token.at('id'), token.string('id'))
    return { ...special, typeId: token.integer('type_id') }
  })

/** Combines sequences and special tokens by a template. */
export const templateProcessing = definePostProcessor({
  type: 'TemplateProcessing',
  read(fields) {
    const specials = readSpecials(fields.object('special_tokens'), fields.at('special_tokens'))
    const single = readTemplate(fields.list('single'), fields.at('single'), specials)
    const pair = readTemplate(fields.list('pair'), fields.at('pair'), specials)
    if (single.some((part) => 'sequence' in part && part.sequence === 1))
      throwInvalid('sequence A only', fields.at('single'), fields.get('single'))
    return {
      added: (isPair) => (isPair ? pair : single).reduce((sum, part) => sum + ('ids' in part ? part.ids.length : 0), 0),
      process(encodings, addSpecialTokens) {
        const parts: Encoding[] = []
        for (const part of encodings.length === 2 ? pair : single) {
          if ('sequence' in part) {
            const encoding = encodings[part.sequence]
            encoding.setTypeId(part.typeId)
            parts.push(encoding)
          } else if (addSpecialTokens) {
            const special = new Encoding()
            for (const [i, id] of part.ids.entries()) special.pushSpecial(id, part.tokens[i], part.typeId)
            parts.push(special)
          }
        }
        return parts
      },
    }
  },
})
