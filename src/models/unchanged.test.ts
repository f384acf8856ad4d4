import { describe, expect, it } from 'vitest'
import { Linear, Module, RmsNorm } from '../nn/index.ts'
import { noGrad, Tensor } from '../tensor/index.ts'
import { SeenModules } from './fused-weights.ts'

class Layer extends Module {
  norm = new RmsNorm(4, { eps: 1e-5 })
  up = new Linear(4, 8)

  constructor() {
    super()
    // Weights that are not initialised have any bits, also those of no number.
    noGrad(() => this.up.weight.fill_(0.5))
  }
}

const seen = (layers: readonly Layer[]): SeenModules => {
  const found = SeenModules.of(layers)
  if (found === undefined) throw new Error('The layers have no adapters.')
  return found
}

describe('modules that were seen', () => {
  it.each<[string, (layer: Layer) => void]>([
    ['another module', (layer) => void (layer.up = new Linear(4, 8))],
    ['another tensor', ({ norm }) => void (norm.weight = Tensor.from([1, 2, 3, 4]))],
    ['another matrix', ({ up }) => void (up.weight = Tensor.from([[1], [2]]))],
    ['a matrix that took over another one', ({ up }) => void up.weight.become(Tensor.from([[1], [2]]))],
    ['another bias', ({ up }) => void (up.bias = Tensor.from([1, 2]))],
    ['no bias', ({ up }) => void delete up.bias],
    ['another dtype', (layer) => void layer.to({ dtype: 'bfloat16' })],
    ['another mode', (layer) => void layer.train()],
    ['a quantised matrix', ({ up }) => void noGrad(() => up.quantize('int8'))],
    ['a forward of an adapter', ({ up }) => void Object.defineProperty(up, 'forward', { value: () => undefined })],
  ])('are not the same with %s', (_, change) => {
    const layers = [new Layer(), new Layer()]
    const before = seen(layers)
    expect(before.are(layers)).toBe(true)
    change(layers[1])
    expect(before.are(layers)).toBe(false)
  })

  it('are not other modules, more or fewer, and are the same after values have changed', () => {
    const layers = [new Layer(), new Layer()]
    const before = seen(layers)
    noGrad(() => layers[0].up.weight.mul_(2))
    expect(before.are(layers)).toBe(true)
    for (const others of [[layers[0]], [layers[1], layers[0]], [...layers, new Layer()]])
      expect(before.are(others)).toBe(false)
  })

  it('are not remembered where one has an adapter, which may change by itself', () => {
    const layer = new Layer()
    Object.defineProperty(layer.up, 'forward', { value: () => undefined })
    expect(SeenModules.of([layer])).toBeUndefined()
  })
})
