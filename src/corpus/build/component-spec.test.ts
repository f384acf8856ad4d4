import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { coerceOptions, lookUp, parseComponentSpec, parseFilterSpec, parseSourceSpec } from './component-spec.ts'

describe('component specs', () => {
  it('reads a bare name, options, repeated options and objects', () => {
    expect(parseComponentSpec('c4', 'filter[0]')).toEqual({ type: 'c4', options: {} })
    expect(parseComponentSpec('language:languages=en,languages=de,minConfidence=0.4', 'filter[0]')).toEqual({
      type: 'language',
      options: { languages: ['en', 'de'], minConfidence: '0.4' },
    })
    expect(parseComponentSpec({ type: 'c4', minWords: 3 }, 'filter[0]')).toEqual({
      type: 'c4',
      options: { minWords: 3 },
    })
  })

  it('reads the kinds of source that a filter is for', () => {
    expect(parseFilterSpec('c4@warc+wet:minWords=3', 'x')).toEqual({
      type: 'c4',
      kinds: ['warc', 'wet'],
      options: { minWords: '3' },
    })
    expect(parseFilterSpec('c4', 'x')).toEqual({ type: 'c4', options: {} })
  })

  it('reads sources whose paths hold colons, commas and equals signs', () => {
    expect(parseSourceSpec('jsonl,textField=body:/a:b,c=d.jsonl', 'source[0]')).toEqual({
      type: 'jsonl',
      options: { textField: 'body' },
      path: '/a:b,c=d.jsonl',
    })
    expect(parseSourceSpec({ type: 'jsonl', path: 'x', textField: 'body' }, 'x').options).toEqual({ textField: 'body' })
  })

  it.each(['nothing', ':path', 'jsonl:', 'jsonl,textField:path'])('refuses %s and names the place', (spec) => {
    expect(() => parseSourceSpec(spec, 'source[3]')).toThrow(/Expected .* for `source\[3\]`/)
  })

  it('coerces by the schema', () => {
    const schema = z.strictObject({
      count: z.number().default(1),
      names: z.array(z.string()).default([]),
      numbers: z.array(z.number()).optional(),
      text: z.string().default(''),
      on: z.boolean().default(false),
    })
    const given = { count: '3', names: 'a', numbers: ['1', '2'], text: '12', on: 'true', unknown: '5' }
    expect(coerceOptions(schema, given)).toEqual({
      count: 3,
      names: ['a'],
      numbers: [1, 2],
      text: '12',
      on: true,
      unknown: 5,
    })
    expect(coerceOptions(schema, { names: '' })).toEqual({ names: [] })
  })

  it('suggests a name for a slip, and does not take what objects inherit for an entry', () => {
    expect(() => lookUp({ language: 1, length: 2 }, 'langage', 'filter[0]')).toThrow(/Did you mean `language`/)
    expect(() => lookUp({ a: 1 }, 'toString', 'filter[0]')).toThrow(ConfigError)
  })
})
