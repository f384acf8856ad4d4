// A fine-tuning method and an objective that a package defines: recipes, schemas and files take them like the built-in
// ones.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  type AdapterDefinition,
  type AdapterInput,
  type AdapterSettings,
  adapterFields,
  adapterSchema,
  adapters,
  applyAdapter,
  defineAdapter,
  LayerAdapter,
  loadAdapter,
  registerAdapter,
  saveAdapter,
} from '../../src/adapters/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { Linear } from '../../src/nn/index.ts'
import {
  defineObjective,
  type ObjectiveInput,
  objectiveSchema,
  objectives,
  registerObjective,
} from '../../src/objectives/index.ts'
import { Generator, keep, noGrad, ones, Tensor, zeros } from '../../src/tensor/index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'registration-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Adds a trained vector to the output of a linear layer. */
class Shift extends LayerAdapter<Linear, Linear['forward']> {
  shift: Tensor

  constructor({ shape: [outputs], dtype, device }: Linear) {
    super()
    this.shift = keep(zeros([outputs], { dtype, device }))
  }

  wrap(_: Linear, next: Linear['forward']): Linear['forward'] {
    return (input) => next(input).add(this.shift)
  }
}

const shift = defineAdapter({
  type: 'shift',
  source: 'this test',
  config: z.strictObject({ layer: z.string().default('oProj').describe('layer that is shifted'), ...adapterFields }),
  learningRate: 1e-2,
  plan: (model, { layer }) => ({
    trained: [],
    placements: [...model.body.modules('body')].flatMap(([path, host]) =>
      host instanceof Linear && path.endsWith(`.${layer}`) ? [{ path, host, adapter: new Shift(host) }] : [],
    ),
  }),
})

const build = () => {
  const { gpt2 } = models
  const config = gpt2.config.parse(gpt2.presets.test)
  return buildModel(gpt2 as never, config, 'causal-lm')
    .initialize({ std: 0.2, generator: new Generator(1) })
    .eval()
}
const inputIds = Tensor.from(BigInt64Array.of(5n, 6n, 7n), { shape: [1, 3] })
const logitsOf = (model: ReturnType<typeof build>) => noGrad(() => model.forward({ inputIds }).logits.toFloat32Array())

it.each(['full', 'linear-probe'] as const)('%s says that it has no settings', (type) => {
  const given = { type, rank: 8 } as AdapterInput
  expect(() => applyAdapter(build(), given)).toThrow(/no settings in `adapter` for `variant` .*got `rank`\. Remove it/)
})

describe('registerAdapter', () => {
  it('makes a method usable by name: applied, trained, saved and loaded', async () => {
    const given = { type: 'shift', layer: 'vProj' }
    expect(() => parseConfig(adapterSchema, given, 'adapter')).toThrow(/Expected one of .* for `adapter\.type`/)
    registerAdapter(shift)
    expect(Object.keys(adapters)).toContain('shift')
    expect(parseConfig(adapterSchema, given, 'adapter')).toEqual(given)
    expect(() => parseConfig(adapterSchema, { ...given, layre: 'x' }, 'adapter')).toThrow(/Did you mean `layer`/)
    const model = build()
    const before = logitsOf(model)
    const applied = applyAdapter(model, given as AdapterInput)
    expect([...applied.trainable.keys()][0]).toMatch(/vProj\.adapters\.default\.shift$/)
    expect(logitsOf(model)).toEqual(before)
    noGrad(() => {
      for (const value of applied.trainable.values()) value.detach().add_(ones(value.shape))
    })
    const after = logitsOf(model)
    expect(after).not.toEqual(before)
    await saveAdapter(applied, join(scratch, 'shift'))
    const loaded = await loadAdapter(join(scratch, 'shift'), { base: build() })
    expect(logitsOf(loaded.model)).toEqual(after)
  })

  it('refuses a name that is taken', () => {
    expect(() => registerAdapter({ ...shift, type: 'lora' })).toThrow(/new `type` for an adapter, got `lora`/)
  })
})

describe('registerObjective', () => {
  it('makes an objective usable in a recipe', () => {
    const nextToken = defineObjective({
      ...objectives['causal-lm'],
      type: 'next-token',
      config: z.strictObject({ startToken: z.boolean().default(false).describe('open with the start token') }),
      create: ({ startToken }, context) =>
        objectives['causal-lm'].create({ startToken, documents: 'separate', labelSmoothing: 0, fimRate: 0 }, context),
    })
    expect(() => objectiveSchema.parse({ type: 'next-token' })).toThrow()
    registerObjective(nextToken)
    expect(objectiveSchema.parse({ type: 'next-token' })).toEqual({ type: 'next-token', startToken: false })
    expect(() => registerObjective({ ...nextToken })).toThrow(/new `type` for an objective/)
  })
})

describe('settings in TypeScript', () => {
  it('are typed by their method, so that a misspelt key does not compile', () => {
    const good: AdapterInput = { type: 'lora', rank: 8 }
    // @ts-expect-error a misspelt key
    const misspelt: AdapterInput = { type: 'lora', rnak: 8 }
    // @ts-expect-error a misspelt key
    const settings: AdapterSettings['lora'] = { rnak: 8 }
    // @ts-expect-error a key of another objective
    const objective: ObjectiveInput = { type: 'causal-lm', maskShare: 0.2 }
    const all: readonly AdapterDefinition[] = Object.values(adapters)
    expect([good, misspelt, settings, objective, all]).toHaveLength(5)
  })
})
