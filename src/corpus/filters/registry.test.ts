// What holds for every filter of the registry.

import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { trainQualityClassifier } from '../quality/index.ts'
import { createFilter, type FilterDefinition, filters } from './index.ts'

/** Options that a filter cannot do without. */
const required = async (type: string): Promise<object> => {
  if (type !== 'quality-classifier') return {}
  const path = join(tmpdir(), `quality-${process.pid}.bin`)
  const { model } = await trainQualityClassifier(['good text'], ['bad words'], { bits: 8, validationShare: 0 })
  await model.save(path)
  return { model: path }
}

it('lists every file of the folder', () => {
  const supporting = ['index.ts', 'filter.ts']
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  expect(files.filter((name) => !supporting.includes(name)).map((name) => name.slice(0, -3))).toEqual(
    Object.keys(filters).sort(),
  )
})

describe.each(Object.entries<FilterDefinition>(filters))('%s', (type, definition) => {
  it('has a summary and the source of its rules', () => {
    expect(definition.type).toBe(type)
    expect(definition.summary).toMatch(/^[A-Z].*\.$/)
    expect(definition.source).toMatch(/arXiv:\d{4}\.\d{5}|npm package|huggingface/)
  })

  it('rejects an unknown option', async () => {
    await expect(createFilter(definition, { ...(await required(type)), noSuchOption: 1 }, type)).rejects.toThrow(
      /noSuchOption/,
    )
  })

  it('accepts any text, returns only declared reasons, and decides equally in any order', async () => {
    const options = await required(type)
    const [one, two] = [await createFilter(definition, options, type), await createFilter(definition, options, type)]
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ maxLength: 300 }),
      fc.constantFrom(
        '\n',
        '\n\n',
        ' ',
        '\t',
        '...',
        '…',
        '\ud800',
        '\u0000',
        '{',
        '#',
        '- ',
        '1.',
        '@',
        'the ',
        'word ',
      ),
    )
    const text = fc.array(piece, { maxLength: 30 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
        const documents = texts.map((value, i) => ({
          id: String(i),
          text: value,
          metadata: { url: value.slice(0, 50) },
        }))
        const first = documents.map((document) => one.apply(document))
        const second = documents
          .toReversed()
          .map((document) => two.apply(document))
          .toReversed()
        expect(second).toEqual(first)
        for (const decision of first) if (!decision.keep) expect(definition.reasons).toContain(decision.reason)
      }),
      { numRuns: 60 },
    )
  })

  it('stays fast on hostile text', async () => {
    const filter = await createFilter(definition, await required(type), type)
    const size = 200_000
    const started = process.cpuUsage()
    for (const unit of ['a', ' ', '\n', 'a ', 'a\n', '.', 'a.', '<a', '((', 'a-', "'", 'a,b', 'http://', '[', '  \n']) {
      filter.apply({ id: '1', text: unit.repeat(size / unit.length), metadata: {} })
      // Long words, but not so long that no rule looks into them.
      const word = unit.trim().repeat(480 / unit.length)
      filter.apply({ id: '1', text: Array.from({ length: 40 }, (_, i) => `${i}${word}`).join(' '), metadata: {} })
    }
    const { user, system } = process.cpuUsage(started)
    expect((user + system) / 1e6).toBeLessThan(15)
  })
})
