// The average of weights: swapped in and out without loss, saved and taken back. Its values are compared with torch's in tests/parity/optim.
import { describe, expect, it } from 'vitest'
import { CheckpointError, parseConfig } from '../core/index.ts'
import { defaultDevice, Generator, liveTensors, noGrad, randn, type Tensor, tensor, zeros } from '../tensor/index.ts'
import { averageSchema, createAverage, createOptimizer, optimizerSchema } from './index.ts'

const device = defaultDevice()
const config = (options: object = {}) => parseConfig(averageSchema, { decay: 0.5, ...options }, 'average')
const make = (dtype: 'float32' | 'bfloat16', seed = 1) => {
  const generator = new Generator(seed)
  return new Map([
    ['a', randn([5, 7], { generator }).to({ dtype, device })],
    ['b', randn([3], { generator }).to({ dtype, device })],
  ])
}
const move = (parameters: Map<string, Tensor>, by: number) =>
  noGrad(() => {
    for (const t of parameters.values()) t.add_(by)
  })
const equal = (a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>) =>
  [...a].every(([path, t]) => t.equal(b.get(path)!))
const copyOf = (tensors: ReadonlyMap<string, Tensor>) => new Map([...tensors].map(([path, t]) => [path, t.clone()]))

describe.each(['float32', 'bfloat16'] as const)('%s', (dtype) => {
  it('replaces the weights and restores them exactly', () => {
    const parameters = make(dtype)
    for (const t of parameters.values()) t.requiresGrad = true
    const average = createAverage(config(), parameters)
    average.update()
    const first = copyOf(parameters)
    move(parameters, 1)
    average.update()
    const weights = copyOf(parameters)
    const live = liveTensors()
    average.swapIn()
    expect(average.swapped).toBe(true)
    for (const [path, t] of parameters) {
      const half = first.get(path)!.to('float32').add(weights.get(path)!.to('float32')).div(2).to(dtype)
      expect(t.allclose(half, { rtol: dtype === 'float32' ? 1e-6 : 1e-2 })).toBe(true)
      expect(t.requiresGrad).toBe(true)
    }
    expect(() => average.update()).toThrow(/while it is swapped in/)
    expect(() => average.swapIn()).toThrow(/twice/)
    average.swapOut()
    expect(equal(parameters, weights)).toBe(true)
    expect(() => average.swapOut()).toThrow(/not swapped in/)
    expect(liveTensors() - live).toBeLessThan(20)
  })

  it('resumes exactly from a saved state', () => {
    const parameters = make(dtype)
    const one = createAverage(config({ warmup: true }), parameters)
    one.update()
    move(parameters, 0.25)
    one.update()
    const two = createAverage(config({ warmup: true }), parameters)
    two.loadState({ ...one.state(), tensors: copyOf(one.state().tensors) })
    move(parameters, 0.5)
    one.update()
    two.update()
    expect(equal(one.state().tensors, two.state().tensors)).toBe(true)
    expect(two.state().updates).toBe(3)
  })
})

it('warms up: its decay grows with the updates', () => {
  const parameters = new Map([['a', zeros([1], { device })]])
  const average = createAverage(config({ decay: 0.999, warmup: true }), parameters)
  average.update()
  move(parameters, 1)
  average.update()
  // 2/11 of 0 and 9/11 of 1, as with tf.train.ExponentialMovingAverage's num_updates.
  expect(average.state().tensors.get('a')!.item()).toBeCloseTo(9 / 11, 6)
})

it('averages the exact weights of an optimizer where parameters are rounded', () => {
  const parameters = new Map([['a', tensor([1, 1], { device }).to('bfloat16')]])
  const optimizer = createOptimizer(parseConfig(optimizerSchema, { type: 'sgd', momentum: 0 }, 'optimizer'), parameters)
  const average = createAverage(config(), parameters, { weights: optimizer.weights })
  optimizer.step(new Map([['a', tensor([1, -1], { device })]]), { learningRate: 1e-4 })
  average.update()
  expect(parameters.get('a')!.toArray()).toEqual([1, 1])
  expect(average.state().tensors.get('a')!.toFloat32Array()).toEqual(Float32Array.of(1 - 1e-4, 1 + 1e-4))
})

it('refuses the average of another model', () => {
  const average = createAverage(config(), make('float32'))
  const load =
    (tensors: [string, Tensor][], updates = 1) =>
    () =>
      average.loadState({ tensors: new Map(tensors), updates })
  expect(load([['a', zeros([5, 7], { device })]])).toThrow(/1 missing \(b\)/)
  expect(
    load([
      ['a', zeros([5, 7], { device })],
      ['b', zeros([3], { device })],
      ['c', zeros([3], { device })],
    ]),
  ).toThrow(/1 unexpected \(c\)/)
  expect(
    load([
      ['a', zeros([7, 5], { device })],
      ['b', zeros([3], { device })],
    ]),
  ).toThrow(/1 mismatched \(a\)/)
  expect(
    load(
      [
        ['a', zeros([5, 7], { device })],
        ['b', zeros([3], { device })],
      ],
      -1,
    ),
  ).toThrow(CheckpointError)
})
