// Weights of fused layers, which the addon checks once for many calls: after a change of any kind the hidden states are those of
// another model, built with the changed weights, whose layers nobody has checked before.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { nextLogits } from '../../src/generation/row-decoder.ts'
import { SlotCache } from '../../src/generation/slot-cache.ts'
import { buildModel, freeWeights, type Model, models } from '../../src/models/index.ts'
import { BlockMatrix, Linear } from '../../src/nn/index.ts'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import {
  encodeRows,
  Generator,
  isBatchInvariant,
  noGrad,
  setBatchInvariant,
  type Tensor,
} from '../../src/tensor/index.ts'

const sizes = { hiddenSize: 64, intermediateSize: 96, numHeads: 2, numKvHeads: 1, headDim: 32, numLayers: 3 }

const build = (seed = 8): Model => {
  const { config: schema, presets } = models.llama
  const config = schema.parse({ ...presets.test, ...sizes, tiedEmbeddings: false })
  return buildModel(models.llama as never, config, 'causal-lm')
    .initialize({ std: 0.2, generator: new Generator(seed) })
    .eval()
}

/** The matrices of its layers as blocks of a GGUF file. */
const inBlocks = (model: Model): Model => {
  for (const [path, module] of model.body.modules())
    if (module instanceof Linear && path.startsWith('layers.')) {
      const { shape, weight } = module
      module.useBlocks(new BlockMatrix({ format: 'Q8_0', shape, blocks: noGrad(() => encodeRows(weight, 'Q8_0')) }))
    }
  return model
}

const addLora = (model: Model, name: string, seed: number): void => {
  applyAdapter(model, { type: 'lora', rank: 4 }, { name })
  const generator = new Generator(seed)
  noGrad(() => {
    for (const tensor of adaptersOf(model).tensorsOf(name).values()) tensor.normal_(0, 0.3, { generator })
  })
}

/** Logits after each token of a text of its own, with a cache of its own: the first token makes its buffers. */
const logitsOf = (model: Model, using: string | null = null): number[] => {
  const cache = new SlotCache(sizes.numLayers, 16)
  cache.resize(1)
  try {
    const run = (at: Model) =>
      [[3], [5, 7], [11]].flatMap((ids) => {
        const logits = nextLogits(at as never, cache, [{ slot: 0, ids, wanted: ids.length }])
        return [...logits.toFloat32Array()]
      })
    return using === null ? run(model) : adaptersOf(model).using(using, run)
  } finally {
    cache.free()
  }
}

const copyWeights = (from: Model, to: Model): Model => {
  const theirs = from.parameters()
  noGrad(() => {
    for (const [path, tensor] of to.parameters()) tensor.copy_(theirs.get(path) as Tensor)
  })
  return to
}

let before = false
beforeEach(() => {
  before = isBatchInvariant()
  setBatchInvariant(true)
})
afterEach(() => {
  setBatchInvariant(before)
})

describe.each([
  ['dense', (model: Model) => model],
  ['in blocks', inBlocks],
] as const)('checked layers, %s,', (_, form) => {
  it('compute with the adapter of each call', () => {
    const model = form(build())
    const bare = logitsOf(model)
    addLora(model, 'one', 1)
    addLora(model, 'two', 2)
    const fresh = (seed: number) => {
      const other = form(build())
      addLora(other, 'only', seed)
      return logitsOf(other, 'only')
    }
    const wanted = [fresh(1), fresh(2)]
    expect(wanted[0]).not.toEqual(wanted[1])
    for (let round = 0; round < 2; round++) {
      expect(logitsOf(model, 'one')).toEqual(wanted[0])
      expect(logitsOf(model, 'two')).toEqual(wanted[1])
      adaptersOf(model).activate([])
      expect(logitsOf(model)).toEqual(bare)
    }
  })

  it('do not outlive a model that was freed', () => {
    const model = form(build())
    const wanted = logitsOf(model)
    freeWeights(model)
    expect(() => logitsOf(model)).toThrow(/live tensor|freed/)
    // Its memory and its handles may be those of the next model.
    expect(logitsOf(form(build()))).toEqual(wanted)
    expect(logitsOf(form(build(9)))).not.toEqual(wanted)
  })
})

describe('checked layers', () => {
  it('compute with the weights after each step of an optimizer', () => {
    const model = build()
    const parameters = model.parameters()
    const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw' }), parameters)
    let last = logitsOf(model)
    for (let step = 0; step < 3; step++) {
      const generator = new Generator(step)
      const gradients = new Map(
        [...parameters].map(([path, one]) => [path, noGrad(() => one.clone().normal_(0, 1, { generator }))]),
      )
      optimizer.step(gradients, { learningRate: 0.01 })
      const now = logitsOf(model)
      expect(now).not.toEqual(last)
      expect(now).toEqual(logitsOf(copyWeights(model, build())))
      last = now
    }
  })

  it('compute with weights that replaced others', () => {
    const model = build()
    const first = logitsOf(model)
    const other = build(9)
    const theirs = other.parameters()
    model.replaceParameters((path) => noGrad(() => (theirs.get(path) as Tensor).clone()))
    expect(logitsOf(model)).toEqual(logitsOf(other))
    model.to({ dtype: 'bfloat16' }).to({ dtype: 'float32' })
    const rounded = logitsOf(model)
    expect(rounded).not.toEqual(first)
    expect(rounded).toEqual(logitsOf(copyWeights(model, build())))
  })
})
