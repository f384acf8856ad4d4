import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseConfig } from './config.ts'
import { openEnum, openObject, openUnion } from './open-schemas.ts'
import { Registry } from './registry.ts'

interface Shape {
  type: string
  config: z.ZodType
}

const shape = <const Type extends string, Fields extends z.ZodRawShape>(type: Type, fields: Fields) => ({
  type,
  config: z.strictObject({ type: z.literal(type), ...fields }),
})

const build = () => {
  const registry = new Registry<Shape>('a shape')
  const shapes = registry.builtIn([shape('circle', { radius: z.number() }), shape('square', { side: z.number() })])
  const union = openUnion('type', () =>
    registry.list.map(({ config }) => config as (typeof shapes)['circle']['config']),
  )
  const names = openEnum<keyof typeof shapes>(() => registry.types)
  return { registry, shapes, union, names }
}

describe('a registry', () => {
  it('lists its entries in order and finds them by type', () => {
    const { registry, shapes } = build()
    expect(registry.types).toEqual(['circle', 'square'])
    expect(Object.keys(shapes)).toEqual(['circle', 'square'])
    expect(registry.find('circle')).toBe(shapes.circle)
    expect(registry.find('toString')).toBeUndefined()
  })

  it('takes new entries, and refuses a taken or unusable name', () => {
    const { registry, shapes } = build()
    const star = shape('star', { points: z.int() })
    registry.register(star)
    registry.register(star)
    expect(Object.keys(shapes)).toEqual(['circle', 'square', 'star'])
    expect(() => registry.register(shape('circle', {}))).toThrow(/new `type` for a shape, got `circle`/)
    for (const name of ['', 'Big Star', '__proto__', 'a.b'])
      expect(() => registry.register(shape(name, {}))).toThrow(/lower-case words/)
  })
})

describe('open schemas', () => {
  it('accept an entry registered after they were used, wherever they are inside another schema', () => {
    const { registry, union, names } = build()
    const outer = z.strictObject({ kind: names.optional().describe('kind'), shape: union.describe('a shape') })
    const withDefault = union.prefault({ type: 'circle', radius: 1 })
    expect(outer.parse({ kind: 'square', shape: { type: 'circle', radius: 2 } })).toEqual({
      kind: 'square',
      shape: { type: 'circle', radius: 2 },
    })
    const given = { kind: 'star', shape: { type: 'star', points: 5 } }
    expect(() => parseConfig(outer, given, 'drawing')).toThrow(/one of `circle`, `square` for `drawing\.shape\.type`/)
    registry.register(shape('star', { points: z.int() }))
    expect(parseConfig(outer, given, 'drawing')).toEqual(given)
    expect(withDefault.parse(given.shape)).toEqual(given.shape)
    expect(withDefault.parse(undefined)).toEqual({ type: 'circle', radius: 1 })
    expect(() => parseConfig(outer, { shape: { type: 'star', point: 5 } }, 'drawing')).toThrow(/Did you mean `points`/)
    expect(() => parseConfig(outer, { kind: 'sta', shape: given.shape }, 'drawing')).toThrow(/Did you mean `star`/)
    expect(union.options).toHaveLength(3)
    expect(names.options).toEqual(['circle', 'square', 'star'])
  })

  it('have a JSON schema that lists what is registered', () => {
    const { registry, union, names } = build()
    registry.register(shape('star', { points: z.int() }))
    expect(JSON.stringify(z.toJSONSchema(z.strictObject({ union, names })))).toContain('"const":"star"')
    expect(z.toJSONSchema(names)).toMatchObject({ enum: ['circle', 'square', 'star'] })
  })

  it('accept a field added to an object after it was used', () => {
    const fields: Record<string, z.ZodType> = { side: z.number().optional() }
    const object = openObject(() => fields)
    const outer = z.strictObject({ settings: object.prefault({}).describe('settings') })
    expect(object).toBeInstanceOf(z.ZodObject)
    expect(outer.parse({})).toEqual({ settings: {} })
    expect(() => parseConfig(outer, { settings: { points: 5 } }, 'drawing')).toThrow(/points/)
    fields.points = z.int().optional()
    expect(outer.parse({ settings: { points: 5 } })).toEqual({ settings: { points: 5 } })
    expect(() => parseConfig(outer, { settings: { point: 5 } }, 'drawing')).toThrow(/Did you mean `points`/)
    expect(Object.keys(object.shape)).toEqual(['side', 'points'])
    expect(JSON.stringify(z.toJSONSchema(outer))).toContain('points')
  })

  it('stay discriminated unions for those who ask', () => {
    expect(build().union).toBeInstanceOf(z.ZodDiscriminatedUnion)
    expect(build().names).toBeInstanceOf(z.ZodEnum)
  })
})
