// JSON schemas of recipes, by which editors complete and check YAML and JSON recipes.
import { z } from 'zod'
import { ConfigError, type ConfigFault, configFaults, didYouMean } from '../core/index.ts'
import { startOf } from './kinds.ts'
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

/** A part whose fields depend on a choice, as JSON schemas. */
export interface SchemaPart extends Omit<ChosenPart, 'schemas'> {
  schemas: Record<string, JsonSchema>
}

const partsOf = (command: RecipeCommand) => {
  const all = recipeParts()
  if (!Object.hasOwn(all, command))
    throw new ConfigError(
      `Expected ${Object.keys(all).join(' or ')} for the command of a recipe, got ${command}.${didYouMean(command, Object.keys(all))}`,
    )
  return all[command]
}

/**
 * The JSON schema of the recipes of a command and, by themselves, those of the parts that depend on a choice, for forms.
 * @throws ConfigError for a command without recipes
 */
export const recipeFormSchemas = (command: RecipeCommand): { schema: JsonSchema; parts: SchemaPart[] } => {
  const { schema, parts } = partsOf(command)
  return {
    schema: jsonSchemaOf(schema),
    parts: parts.map(({ schemas, ...part }) => ({
      ...part,
      schemas: Object.fromEntries(Object.entries(schemas).map(([type, own]) => [type, jsonSchemaOf(own)])),
    })),
  }
}

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value)

/** The place of a fault in a recipe, as `model.config.hiddenSize`. */
const dotted = (path: readonly PropertyKey[]): string => path.map(String).join('.') || 'the recipe'

/**
 * What is wrong with a recipe, by the setting that has it: without opening a file, and with the parts that depend on a choice.
 * @throws ConfigError for a command without recipes
 */
export const recipeFaults = (command: RecipeCommand, recipe: object): ConfigFault[] => {
  const { schema, parts } = partsOf(command)
  const faults = configFaults(schema, recipe, dotted)
  for (const { choice, part, schemas } of parts) {
    const type = valueAt(recipe, choice)
    const own = typeof type === 'string' && Object.hasOwn(schemas, type) ? schemas[type] : undefined
    if (own === undefined) continue
    const found = configFaults(own, valueAt(recipe, part) ?? {}, (path) => dotted([...part, ...path]))
    faults.push(...found.map(({ path, message }) => ({ path: [...part, ...path], message })))
  }
  if (faults.length > 0) return faults
  try {
    startOf(command).check({ ...recipe, command })
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map((message) => ({ path: [], message }))
  }
}

/**
 * The JSON schema (draft 2020-12) of the recipes of a command. The settings of each variant, task and architecture are in it, those that
 * packages have registered included.
 * @throws ConfigError for a command without recipes
 */
export const recipeJsonSchema = (command: RecipeCommand): JsonSchema => {
  const { schema, parts } = partsOf(command)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Recipe of tunesmith ${command}`,
    ...jsonSchemaOf(schema),
    allOf: parts.flatMap(conditionsOf),
  }
}
