// zod schemas whose branches are read each time they are used, so that definitions registered at run time are accepted, and
// appear in flags and help, without making the schemas around them again.
import { z } from 'zod'

/** Runs `build` again whenever the number of branches has changed: registries only grow. */
const rebuilt = <Branch, Built>(branches: () => readonly Branch[], build: (current: readonly Branch[]) => Built) => {
  let size = -1
  let built: Built | undefined
  return (): Built => {
    const current = branches()
    if (built === undefined || current.length !== size) built = build(current)
    size = current.length
    return built
  }
}

type Discriminable = z.core.$ZodTypeDiscriminable & z.ZodType

interface OpenUnionDef extends z.core.$ZodDiscriminatedUnionDef {
  branches(): readonly Discriminable[]
}

interface OpenUnion extends z.ZodDiscriminatedUnion {
  _zod: z.ZodDiscriminatedUnion['_zod'] & { def: OpenUnionDef }
}

/** A discriminated union as zod makes it, but for its options, which are read from `branches`. */
const OpenUnion = z.core.$constructor<OpenUnion, OpenUnionDef>('OpenUnion', (schema, def) => {
  // A copy of the schema (`describe`, `check`) has a copy of the definition, in which the getter became a value.
  Object.defineProperty(def, 'options', { get: def.branches, enumerable: true, configurable: true })
  z.ZodDiscriminatedUnion.init(schema as never, def as never)
  Object.defineProperty(schema, 'options', { get: def.branches, enumerable: true, configurable: true })
  const union = rebuilt(def.branches, (current) =>
    z.discriminatedUnion(def.discriminator, [...current] as [Discriminable, ...Discriminable[]]),
  )
  schema._zod.parse = (payload, context) => union()._zod.parse(payload, context)
})

/**
 * A discriminated union over branches that may grow. Its type is that of the branches known to the compiler.
 * @param branches object schemas, each with a literal at `discriminator`; the same objects at each call
 */
export const openUnion = <Branch extends z.ZodType, const Discriminator extends string>(
  discriminator: Discriminator,
  branches: () => readonly Branch[],
): z.ZodDiscriminatedUnion<readonly Branch[], Discriminator> =>
  new OpenUnion({
    type: 'union',
    discriminator,
    branches: branches as () => readonly never[],
    options: [],
  }) as never

interface OpenObjectDef extends z.core.$ZodObjectDef {
  fields(): z.core.$ZodLooseShape
}

interface OpenObject extends z.ZodObject {
  _zod: z.ZodObject['_zod'] & { def: OpenObjectDef }
}

/** A strict object as zod makes it, but for its fields, which are read from `fields`. */
const OpenObject = z.core.$constructor<OpenObject, OpenObjectDef>('OpenObject', (schema, def) => {
  Object.defineProperty(def, 'shape', { get: def.fields, enumerable: true, configurable: true })
  z.ZodObject.init(schema as never, def as never)
  Object.defineProperty(schema, 'shape', { get: def.fields, enumerable: true, configurable: true })
  const object = rebuilt(
    () => Object.entries(def.fields()),
    (current) => z.strictObject(Object.fromEntries(current)),
  )
  schema._zod.parse = (payload, context) => object()._zod.parse(payload, context)
})

/**
 * A strict object whose fields may grow, such as the settings of all tasks.
 * @param fields the same fields at each call, and those of definitions registered since
 */
export const openObject = (fields: () => Record<string, z.ZodType>): z.ZodObject<Record<string, z.ZodType>> =>
  new OpenObject({ type: 'object', shape: {}, catchall: z.never(), fields }) as never

interface OpenEnumDef extends z.core.$ZodEnumDef {
  names(): readonly string[]
}

interface OpenEnum extends z.ZodEnum {
  _zod: z.ZodEnum['_zod'] & { def: OpenEnumDef }
}

const byName = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, name]))

/** An enum as zod makes it, but for its values, which are read from `names`. */
const OpenEnum = z.core.$constructor<OpenEnum, OpenEnumDef>('OpenEnum', (schema, def) => {
  Object.defineProperty(def, 'entries', { get: () => byName(def.names()), enumerable: true, configurable: true })
  z.ZodEnum.init(schema as never, def as never)
  Object.defineProperty(schema, 'options', { get: () => [...def.names()], enumerable: true, configurable: true })
  const choice = rebuilt(def.names, (current) => z.enum(byName(current)))
  schema._zod.parse = (payload, context) => choice()._zod.parse(payload, context)
})

/** An enum over names that may grow, such as the types of a registry. Its type is that of the names known to the compiler. */
export const openEnum = <Name extends string>(names: () => readonly string[]): z.ZodEnum<{ [Each in Name]: Each }> =>
  new OpenEnum({ type: 'enum', names, entries: {} }) as never

/** An object schema with the literal name of its definition added: what a discriminated union tells its branches apart by. */
export type Named<Type extends string, Schema extends z.ZodObject> = z.ZodObject<
  { type: z.ZodLiteral<Type> } & Schema['shape'],
  z.core.$strict
>

/** Adds the literal `type` to a schema. @param help description of the field */
export const named = <const Type extends string, Schema extends z.ZodObject>(
  type: Type,
  schema: Schema,
  help: string,
): Named<Type, Schema> => {
  const extended: unknown = schema.safeExtend({ type: z.literal(type).describe(help) })
  return extended as Named<Type, Schema>
}
