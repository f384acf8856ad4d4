// What every source promises.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { sources } from './index.ts'

describe.each(Object.entries(sources))('source %s', (name, source) => {
  it('is registered under its type', () => expect(source.type).toBe(name))
  it('has a summary and a config with defaults and descriptions', () => {
    expect(source.summary.length).toBeGreaterThan(10)
    const config = source.config as unknown as z.ZodObject
    expect(config.parse({})).toBeTypeOf('object')
    expect(config.safeParse({ noSuchKey: 1 }).success).toBe(false)
    for (const [key, field] of Object.entries(config.shape)) {
      expect(z.globalRegistry.get(field as z.ZodType)?.description, key).toMatch(/\w{3}/)
    }
  })
  it('names extensions that begin with a dot', () => {
    for (const extension of source.extensions) expect(extension).toMatch(/^\.\w/)
  })
})
