// The registry of environments, and how episodes with them are run.
import type { z } from 'zod'
import { ConfigError, didYouMean, type Named, named, openUnion, parseConfig, Registry } from '../../core/index.ts'
import { calculator } from './calculator.ts'
import type { Environment, EnvironmentDefinition, EnvironmentFunction } from './environment.ts'

export { calculate, calculatorTool } from './calculator.ts'
export {
  defineEnvironment,
  type Environment,
  type EnvironmentDefinition,
  EnvironmentError,
  type EnvironmentFunction,
  type EnvironmentStep,
  type EpisodeSettings,
  type EpisodeStart,
  episodeSchema,
  type StepContext,
} from './environment.ts'
export {
  type Episode,
  type EpisodeEnd,
  type EpisodeOptions,
  type GeneratedTurn,
  measureEpisodes,
  runEpisode,
  type ScheduledTurnOptions,
  sampleOfEpisode,
  scheduledTurns,
  type TurnGenerator,
} from './run-episode.ts'
export {
  parseToolCalls,
  type Tool,
  type ToolCall,
  type ToolCalls,
  type ToolEnvironmentOptions,
  toolEnvironment,
} from './tool-environment.ts'

const registry = new Registry<EnvironmentDefinition>('an environment')

/** Every environment by its `type`, those that packages registered included. */
export const environments = registry.builtIn([calculator])
/** Names of the built-in environments. */
export type EnvironmentType = keyof typeof environments

/** Names of all environments, in the order in which they were added. */
export const environmentTypes = (): string[] => registry.types

type Tagged<Definition> =
  Definition extends EnvironmentDefinition<infer Schema, infer Type> ? Named<Type, Schema> : never

const tagged = new Map<EnvironmentDefinition, z.ZodObject>()
const schemaOf = (definition: EnvironmentDefinition): z.ZodObject => {
  const known = tagged.get(definition) ?? named(definition.type, definition.config, 'kind of environment')
  tagged.set(definition, known)
  return known
}

/** Settings of any environment, told apart by `type`. */
export const environmentSchema = openUnion('type', () =>
  registry.list.map((definition) => schemaOf(definition) as Tagged<(typeof environments)[EnvironmentType]>),
)
/** Settings of a built-in environment as a recipe writes them. */
export type EnvironmentInput = z.input<typeof environmentSchema>

/** Adds an environment to recipes and flags. @throws ConfigError for a `type` that is taken */
export const registerEnvironment = (definition: EnvironmentDefinition): void => registry.register(definition)

const isEnvironment = (input: object): input is Environment => 'step' in input && typeof input.step === 'function'

/** An environment in a recipe: a name, settings with a \`type\`, an object with \`step\`, or that function alone. */
export type EnvironmentChoice =
  | string
  | EnvironmentInput
  | Environment
  | EnvironmentFunction
  | { readonly type: string; readonly [setting: string]: unknown }

/**
 * The environment of a recipe: an object with `step`, that function alone, settings with a `type`, or a name.
 * @throws ConfigError for an unknown name, or wrong settings
 */
export const createEnvironment = (input: EnvironmentChoice, where = 'environment'): Environment => {
  if (typeof input === 'function') return { name: input.name === '' ? 'environment' : input.name, step: input }
  if (typeof input === 'object' && isEnvironment(input)) return input
  const settings = typeof input === 'string' ? { type: input } : input
  const definition = registry.find(settings.type)
  if (definition === undefined)
    throw new ConfigError(
      `Expected one of ${registry.types.join(', ')} for \`${where}\`, got ${JSON.stringify(settings.type) ?? 'nothing'}.${didYouMean(String(settings.type), registry.types)}`,
    )
  const { type: _, ...config } = parseConfig(environmentSchema, settings, where)
  return definition.create(config)
}
