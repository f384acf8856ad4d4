// JSON schemas of recipes, by which editors complete and check YAML and JSON recipes.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../core/index.ts'
import { type ChosenPart, recipeParts } from './recipe-parts.ts'

type JsonSchema = Record<string, unknown>

const jsonSchemaOf = (schema: z.ZodType): JsonSchema => {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  return json
}

/** A schema that applies at a path, for instance `model.config`. */
const at = (path: readonly string[], schema: JsonSchema): JsonSchema =>
  path.reduceRight<JsonSchema>((inner, key) => ({ properties: { [key]: inner } }), schema)

const required = ([key, ...rest]: readonly string[]): JsonSchema => ({
  required: [key],
  ...(rest.length === 0 ? {} : { properties: { [key]: required(rest) } }),
})

/** One condition for each choice: where the key has this value, the part has these fields. */
const conditionsOf = ({ choice, part, schemas }: ChosenPart): JsonSchema[] =>
  Object.entries(schemas).map(([type, schema]) => ({
    if: { allOf: [required(choice), at(choice, { const: type })] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON schema, which nothing awaits
    then: at(part, jsonSchemaOf(schema)),
  }))

/** Kinds of recipes that have a JSON schema. */
export type RecipeCommand = keyof ReturnType<typeof recipeParts>

/**
 * The JSON schema (draft 2020-12) of the recipes of a command. The settings of each variant, task and architecture are in it, those that
 * packages have registered included.
 * @throws ConfigError for a command without recipes
 */
export const recipeJsonSchema = (command: RecipeCommand): JsonSchema => {
  const all = recipeParts()
  if (!Object.hasOwn(all, command))
    throw new ConfigError(
      `Expected ${Object.keys(all).join(' or ')} for the command of a recipe, got ${command}.${didYouMean(command, Object.keys(all))}`,
    )
  const { schema, parts } = all[command]
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Recipe of tunesmith ${command}`,
    ...jsonSchemaOf(schema),
    allOf: parts.flatMap(conditionsOf),
  }
}
