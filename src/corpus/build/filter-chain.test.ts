import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { CorpusDocument } from '../document.ts'
import { defineFilter, drop, type FilterDefinition, keep } from '../filters/filter.ts'
import { FilterChain, filterFailed, resolveFilters } from './filter-chain.ts'

const minimum = defineFilter({
  type: 'minimum',
  config: z.strictObject({ least: z.number().default(3) }),
  source: '',
  summary: '',
  reasons: ['short', 'never'],
  create: ({ least }) => ({
    apply: ({ text }) => {
      if (text === 'throw') throw new Error('cannot')
      return text.length < least ? drop('short', text.length) : keep
    },
  }),
})
const shout = defineFilter({
  type: 'shout',
  config: z.strictObject({}),
  source: '',
  summary: '',
  reasons: [],
  create: () => ({ apply: ({ text }) => ({ keep: true, text: text.toUpperCase(), metadata: { loud: true } }) }),
})
const registry = { minimum, shout } as unknown as Record<string, FilterDefinition>

const document = (text: string, kind = 'jsonl'): CorpusDocument => ({
  id: text,
  text,
  source: { kind, path: 'p', offset: 0 },
  metadata: { a: 1 },
})

describe('resolveFilters', () => {
  it('fills in defaults, and numbers filters that come twice', () => {
    const specs = [
      { type: 'minimum', options: {} },
      { type: 'minimum', options: { least: '5' } },
      { type: 'minimum', kinds: ['warc', 'wet'], options: {} },
    ]
    expect(resolveFilters(specs, registry)).toEqual([
      { stage: 'minimum', type: 'minimum', options: { least: 3 } },
      { stage: 'minimum-2', type: 'minimum', options: { least: 5 } },
      { stage: 'minimum@warc+wet', type: 'minimum', kinds: ['warc', 'wet'], options: { least: 3 } },
    ])
  })

  it('refuses unknown names and options, naming the place', () => {
    expect(() => resolveFilters([{ type: 'minimun', options: {} }], registry)).toThrow(
      /filter\[0\].*Did you mean `minimum`/,
    )
    expect(() => resolveFilters([{ type: 'minimum', options: { lest: 1 } }], registry)).toThrow(ConfigError)
    expect(() => resolveFilters([{ type: 'minimum', options: { lest: 1 } }], registry)).toThrow(/filter\[0\]\.minimum/)
  })
})

describe('FilterChain', () => {
  const create = () =>
    FilterChain.create(
      resolveFilters(
        [
          { type: 'minimum', options: {} },
          { type: 'shout', options: {} },
        ],
        registry,
      ),
      registry,
    )

  it('passes documents through in order and counts what happens', async () => {
    const chain = await create()
    expect(chain.apply(document('long enough'))).toEqual({
      document: { ...document('long enough'), text: 'LONG ENOUGH', metadata: { a: 1, loud: true } },
    })
    expect(chain.apply(document('é'))).toMatchObject({ stage: 'minimum', reason: 'short', detail: '1', bytes: 2 })
    expect(chain.apply(document('ALREADY'))).toMatchObject({ document: { text: 'ALREADY' } })
    expect(chain.takeCounts()).toEqual([
      {
        stage: 'minimum',
        documentsIn: 3,
        documentsOut: 2,
        bytesIn: 20,
        bytesOut: 18,
        changed: 0,
        added: 0,
        dropped: { never: 0, short: 1 },
      },
      { stage: 'shout', documentsIn: 2, documentsOut: 2, bytesIn: 18, bytesOut: 18, changed: 1, added: 0, dropped: {} },
    ])
    expect(chain.takeCounts()[0]!.documentsIn).toBe(0)
  })

  it('drops a document on which a filter fails, with the reason', async () => {
    const chain = await create()
    expect(chain.apply(document('throw'))).toMatchObject({ stage: 'minimum', reason: filterFailed, detail: 'cannot' })
    expect(chain.takeCounts()[0]!.dropped[filterFailed]).toBe(1)
  })

  it('skips documents of other kinds of source without counting them', async () => {
    const specs = [{ type: 'minimum', kinds: ['warc'], options: {} }]
    const chain = await FilterChain.create(resolveFilters(specs, registry), registry)
    expect(chain.apply(document('x'))).toHaveProperty('document.text', 'x')
    expect(chain.apply(document('x', 'warc'))).toHaveProperty('reason', 'short')
    expect(chain.takeCounts()[0]).toMatchObject({ documentsIn: 1, documentsOut: 0 })
  })
})
