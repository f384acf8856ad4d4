// `response_format`: texts that are JSON of a schema, held by the grammar of the schema.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { Constraint } from '../grammar/constrain.ts'
import { anyJsonObject, jsonSchemaGrammar } from '../grammar/json-schema.ts'
import type { Node } from '../grammar/nodes.ts'
import { badRequest } from '../http/errors.ts'

/** Schema of `response_format`. */
export const responseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string().max(64),
      description: z.string().nullish(),
      schema: z.record(z.string(), z.unknown()),
      strict: z.boolean().nullish(),
    }),
  }),
])

/** Constraints that were made, by tokenizer and by the text of what they were made from. */
const known = new WeakMap<Tokenizer, Map<string, Constraint>>()
const maxKnown = 32

/**
 * A constraint, kept for the next request with the same one: the tokens that it allows are computed once.
 * @param key names the grammar
 * @throws ApiError for a schema that no text can follow, or that is not supported
 */
export const constraintOf = (tokenizer: Tokenizer, key: string, param: string, grammar: () => Node): Constraint => {
  const own = known.get(tokenizer) ?? new Map<string, Constraint>()
  known.set(tokenizer, own)
  let found = own.get(key)
  if (found === undefined) {
    try {
      found = new Constraint(grammar(), tokenizer, param)
    } catch (error) {
      if (error instanceof ConfigError) throw badRequest(error.message, param, 'invalid_schema')
      throw error
    }
    if (own.size >= maxKnown) own.delete(own.keys().next().value as string)
    own.set(key, found)
  }
  return found
}

/** The constraint of a format; undefined for text. */
export const formatConstraint = (
  tokenizer: Tokenizer,
  format: z.output<typeof responseFormat> | null | undefined,
): Constraint | undefined => {
  const param = 'response_format'
  switch (format?.type) {
    case 'json_object':
      return constraintOf(tokenizer, 'json_object', param, () => anyJsonObject)
    case 'json_schema': {
      const { schema } = format.json_schema
      const where = `${param}.json_schema.schema`
      return constraintOf(tokenizer, JSON.stringify(schema), where, () => jsonSchemaGrammar(schema, where))
    }
    default:
      return undefined
  }
}
