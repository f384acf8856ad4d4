// The default rules of groups over the real parameters of every architecture: what they take for tables, vectors and hidden matrices.
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/core/index.ts'
import { type ModelDefinition, models } from '../../../src/models/index.ts'
import { createOptimizer, optimizerSchema, parameterGroups } from '../../../src/optim/index.ts'

const build = (definition: ModelDefinition) =>
  definition.build(definition.config.parse({ ...definition.presets.test }) as never)

describe.each(Object.entries(models) as unknown as [string, ModelDefinition][])('%s', (_, definition) => {
  const parameters = build(definition).parameters()
  const config = (options: object) =>
    parseConfig(optimizerSchema, { type: 'adamw', weightDecay: 0.1, ...options }, 'optimizer')
  const decayed = (options: object) =>
    new Set(
      parameterGroups(config(options), parameters)
        .filter(({ weightDecay }) => weightDecay > 0)
        .flatMap(({ paths }) => paths),
    )

  it('decays every matrix and no bias or norm', () => {
    const all = decayed({})
    for (const [path, { ndim }] of parameters) {
      expect(all.has(path), path).toBe(ndim >= 2)
      if (/[nN]orm\.|bias$/.test(path)) expect(all.has(path), path).toBe(false)
    }
  })

  it('recognises embedding tables', () => {
    const without = decayed({ decayEmbeddings: false })
    const tables = [...decayed({})].filter((path) => !without.has(path))
    const expected = [...parameters.keys()].filter((path) =>
      /^(embed(Tokens|Positions|Types|Distances)|(encoder|decoder)\.(relativeBias|embedPositions))\.weight$/.test(path),
    )
    expect(expected).toContain('embedTokens.weight')
    expect(tables).toEqual(expected)
  })

  it('gives Muon the projections of the layers, and nothing else', () => {
    const { tensors } = createOptimizer(parseConfig(optimizerSchema, { type: 'muon' }, 'optimizer'), parameters).state()
    const muon = [...tensors.keys()].filter((key) => key.endsWith('/momentum')).map((key) => key.slice(0, -9))
    const projections = [...parameters.keys()].filter((path) =>
      /(^|\.)layers\.\d+\..*(Proj|router)\.weight$/.test(path),
    )
    // One layer has six; ALBERT has one, which it repeats.
    expect(muon.length).toBeGreaterThanOrEqual(6)
    expect(muon).toEqual(projections)
  })
})
