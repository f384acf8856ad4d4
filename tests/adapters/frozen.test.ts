// Adapters on a quantised base: the same outputs and gradients as on a plain base with the dequantised values. Also
// what a quantised base refuses.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type AdapterConfig,
  type AdapterType,
  adapters,
  applyAdapter,
  loadAdapter,
  saveAdapter,
} from '../../src/adapters/index.ts'
import { loadModelWithReport, saveModel } from '../../src/checkpoint/index.ts'
import { generate } from '../../src/generation/index.ts'
import {
  buildModel,
  type HeadType,
  type Model,
  type ModelType,
  models,
  quantizeWeights,
} from '../../src/models/index.ts'
import { DropoutMasks, Linear, type Quantization, quantizations, withDropout } from '../../src/nn/index.ts'
import { dtypeFacts, Generator, noGrad, randn, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { eachValue } from '../grid.ts'
import { belowOf, configOf, refusals } from './methods.ts'

const scratch = mkdtempSync(join(tmpdir(), 'frozen-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const beside = (Object.keys(adapters) as AdapterType[]).filter((type) => !adapters[type].trainsMatrices)
const works = (type: AdapterType, architecture: ModelType) => refusals[type]?.[architecture] === undefined

const make = (type: ModelType, head: HeadType): Model => {
  const definition = models[type] as (typeof models)['bert']
  return buildModel(definition as never, definition.adjust(definition.presets.test, {}), head, { labels: ['a', 'b'] })
    .initialize({ std: 0.2, generator: new Generator(1) })
    .to({ device: testDevice })
    .eval()
}
const linears = ({ body }: Model) =>
  [...body.modules()].flatMap(([, module]) => (module instanceof Linear ? [module] : []))

const bytesOf = (model: Model) =>
  linears(model)
    .flatMap(({ quantizedMatrix: frozen, weight }) => (frozen === undefined ? [weight] : frozen.tensors))
    .reduce((sum, { size, dtype }) => sum + size * dtypeFacts(dtype).bytes, 0)

/** A model held in fewer bits, and a plain one of the same values. */
const pair = (type: ModelType, head: HeadType, held: Quantization): { frozen: Model; plain: Model } => {
  const [frozen, plain] = [make(type, head), make(type, head)]
  quantizeWeights(frozen, held)
  const values = linears(frozen).map(({ weight }) => weight.to('float32'))
  noGrad(() => {
    for (const [i, { weight }] of linears(plain).entries()) weight.copy_(values[i])
    const own = plain.parameters()
    for (const [path, value] of frozen.parameters()) own.get(path)?.copy_(value)
  })
  return { frozen, plain }
}

const ids = tensor([
  [5, 6, 7, 8, 9],
  [10, 11, 12, 13, 14],
]).to({ dtype: 'int64', device: testDevice })
const step = (model: Model, trainable: ReadonlyMap<string, Tensor>) => {
  const { logits } = withDropout(new DropoutMasks(new Generator(3)), () => model.forward({ inputIds: ids }))
  logits.sub(1).square().mean().backward()
  return { logits: logits.toFloat32Array(), gradients: new Map([...trainable].map(([path, { grad }]) => [path, grad])) }
}
const largestOf = (values: ArrayLike<number>) => Math.max(...Array.from(values, Math.abs))
const expectClose = (got: ArrayLike<number>, wanted: ArrayLike<number>, what: string, scale = 0) => {
  const largest = Math.max(scale, largestOf(wanted))
  const apart = Math.max(...Array.from(got, (value, i) => Math.abs(value - wanted[i])))
  // Gradients of VeRA's vectors are sums of products with random matrices, which round most; on Intel's processors the plain base is
  // multiplied by MKL, the frozen one by ours.
  expect(apart / largest, what).toBeLessThan(1e-4)
}

/** The norm of the difference, as a share of that of the values. */
const distance = (got: ArrayLike<number>, wanted: ArrayLike<number>) =>
  Math.hypot(...Array.from(got, (value, i) => value - wanted[i])) / Math.hypot(...Array.from(wanted))

const bodies = [
  ['llama', 'causal-lm'],
  ['bert', 'sequence-classification'],
  ['gpt2', 'causal-lm'],
  ['t5', 'sequence-classification'],
] as const
const cases = bodies.flatMap(([architecture, head]) =>
  beside.filter((type) => works(type, architecture)).map((type) => [type, architecture, head] as const),
)

const all = quantizations.flatMap((held) => cases.map((one) => [held, ...one] as const))
const chosen = eachValue(all, (one) => one, 4)

describe.each(quantizations)('a base in %s', (held) => {
  const cases = chosen.filter(([of]) => of === held).map(([, ...one]) => one)
  it.each(cases)('trains %s on %s like a plain base of the same values', (type, architecture, head) => {
    const { frozen, plain } = pair(architecture, head, held)
    const [ours, theirs] = [frozen, plain].map((model) =>
      applyAdapter(model, configOf(type), { seed: 5, below: belowOf(type, model) }),
    )
    expect([...ours.trainable].map(([path, { dtype, shape }]) => [path, dtype, shape])).toEqual(
      [...theirs.trainable].map(([path, { dtype, shape }]) => [path, dtype, shape]),
    )
    for (let round = 0; round < 2; round++) {
      const [got, wanted] = [step(ours.model.train(), ours.trainable), step(theirs.model.train(), theirs.trainable)]
      expectClose(got.logits, wanted.logits, 'logits')
      // A bias of keys changes nothing: its gradient is the rounding of what the others have.
      const scale = 0.01 * Math.max(...[...wanted.gradients.values()].map((one) => largestOf(one!.toFloat32Array())))
      for (const [path, gradient] of wanted.gradients) {
        expect(got.gradients.get(path), path).toBeDefined()
        expectClose(got.gradients.get(path)!.toFloat32Array(), gradient!.toFloat32Array(), path, scale)
      }
      // The second round is after a step, where nothing is zero any more.
      noGrad(() => {
        for (const [path, value] of ours.trainable) {
          value.detach().sub_(got.gradients.get(path)!.mul(0.05))
          theirs.trainable.get(path)!.detach().copy_(value)
          value.grad = undefined
          theirs.trainable.get(path)!.grad = undefined
        }
      })
    }
  })

  it.each(cases)(
    'trains %s on %s in bfloat16 about as exactly as a plain base of the same values',
    (type, architecture, head) => {
      const { frozen, plain } = pair(architecture, head, held)
      const { plain: exact } = pair(architecture, head, held)
      for (const model of [frozen, plain]) model.to({ dtype: 'bfloat16' })
      const all = [frozen, plain, exact].map((model) =>
        applyAdapter(model, configOf(type), { seed: 5, below: belowOf(type, model) }),
      )
      const [ours, theirs, wide] = all
      for (const [path, { dtype }] of theirs.trainable) expect(ours.trainable.get(path)?.dtype, path).toBe(dtype)
      expect(ours.model.body.embedTokens.dtype).toBe('bfloat16')
      // What starts at zero has a gradient, but gives none to others.
      const generator = new Generator(6)
      noGrad(() => {
        for (const [path, value] of theirs.trainable) {
          value
            .detach()
            .add_(randn(value.shape, { generator }).mul(0.05).to({ dtype: value.dtype, device: value.device }))
          for (const one of [ours, wide]) one.trainable.get(path)!.detach().copy_(value)
        }
      })
      const [got, rounded, wanted] = all.map((one) => {
        const { logits, gradients } = step(one.model.train(), one.trainable)
        return { logits, gradients: [...gradients.values()].flatMap((gradient) => [...gradient!.toFloat32Array()]) }
      })
      for (const part of ['logits', 'gradients'] as const)
        expect(distance(got[part], wanted[part]), part).toBeLessThan(3 * distance(rounded[part], wanted[part]) + 0.02)
    },
  )

  it('takes fewer bytes, counts the same parameters, and refuses what needs plain weights', async () => {
    const [plain, frozen] = [make('llama', 'causal-lm'), make('llama', 'causal-lm')]
    quantizeWeights(frozen, held)
    expect(frozen.parameterCount).toBe(plain.parameterCount)
    // Matrices as small as these may take a quarter more for their scales.
    const bits = { bfloat16: 16, int8: 8, nf4: 4, 'nf4-double': 4 }[held]
    expect(bytesOf(frozen)).toBeLessThan((bytesOf(plain) * 1.25 * bits) / 32)
    for (const layer of linears(frozen)) expect(layer.quantization).toBe(held)
    for (const type of ['full', 'last-n-layers'] as const)
      expect(() => applyAdapter(frozen, { type } as AdapterConfig)).toThrow(/not quantised.*lora/)
    await expect(saveModel(frozen, join(scratch, 'refused'))).rejects.toThrow(/plain weights.*saveAdapter/)
    expect(() => quantizeWeights(frozen, held)).toThrow(/unquantised model/)
    const applied = applyAdapter(frozen, configOf('lora'))
    expect(() => applied.merge()).toThrow(/`merge` needs a base that is not quantised/)
    expect(applied.active).toBe(true)
  })

  it('writes adapters that a plain base can load', async () => {
    const { frozen, plain } = pair('llama', 'causal-lm', held)
    const applied = applyAdapter(frozen, { ...configOf('lora'), dora: true } as AdapterConfig, { seed: 2 })
    noGrad(() => {
      for (const value of applied.trainable.values()) value.detach().add_(0.05)
    })
    const folder = join(scratch, `adapter-${held}`)
    await saveAdapter(applied, folder, { base: 'base' })
    const opened = await loadAdapter(folder, { base: plain })
    const forward = (model: Model) => noGrad(() => model.eval().forward({ inputIds: ids }).logits.toFloat32Array())
    expectClose(forward(opened.model), forward(applied.model), 'logits')
  })

  it('is quantised from files, one matrix at a time, as from memory', async () => {
    const [made, saved] = [make('llama', 'causal-lm'), make('llama', 'causal-lm')]
    const folder = join(scratch, `folder-${held}`)
    await saveModel(saved, folder)
    const { model } = await loadModelWithReport(folder, { mapEachTensor: true })
    for (const one of [made, model]) quantizeWeights(one, held)
    const [got, wanted] = [model, made].map((one) => noGrad(() => one.forward({ inputIds: ids }).logits))
    expect(got.equal(wanted)).toBe(true)
  })

  it('generates the text of a plain base of the same values', async () => {
    const { frozen, plain } = pair('llama', 'causal-lm', held)
    const [ours, theirs] = await Promise.all(
      [frozen, plain].map((model) => generate(model, undefined, [[5, 6, 7]], { maxNewTokens: 12, padTokenId: 0 })),
    )
    expect(ours).toEqual(theirs)
  })
})
