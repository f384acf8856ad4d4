// What holds for every optimizer of the registry, whatever its rule: exact resumption, safety from bad gradients, memory.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CheckpointError, ConfigError, parseConfig, ShapeError } from '../core/index.ts'
import {
  defaultDevice,
  dtypeFacts,
  Generator,
  liveTensors,
  noGrad,
  randn,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../tensor/index.ts'
import {
  createOptimizer,
  defaultLearningRate,
  type Optimizer,
  type OptimizerConfig,
  optimizerSchema,
  optimizerStateBytes,
  optimizers,
} from './index.ts'
import { parameterFacts } from './parameter-groups.ts'

const shapes: Record<string, readonly number[]> = {
  'body.embedTokens.weight': [17, 8],
  'body.layers.0.mlp.upProj.weight': [24, 8],
  'body.layers.0.mlp.upProj.bias': [24],
  'body.layers.1.mlp.downProj.weight': [8, 24],
  'body.finalNorm.weight': [8],
}

const extremes: Record<string, object> = {
  adafactor: { beta1: 0.9, weightDecay: 0.1 },
  apollo: { rank: 3, interval: 2, weightDecay: 0.1 },
  galore: { rank: 3, interval: 2, weightDecay: 0.1 },
  sgd: { dampening: 0.2, weightDecay: 0.1 },
}
// Tensors of earlier tests would otherwise be found unused in the middle of a count.
setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const device = defaultDevice()
const types = Object.keys(optimizers)
const configOf = (type: string): OptimizerConfig =>
  parseConfig(optimizerSchema, { type, layerDecay: 0.9, ...extremes[type] }, 'optimizer')
const dtypes = ['float32', 'bfloat16'] as const
const everyCase = types.flatMap((type) => dtypes.map((dtype) => ({ type, dtype })))

type Dtype = (typeof dtypes)[number]
const makeParameters = (dtype: Dtype, seed = 1) => {
  const generator = new Generator(seed)
  return new Map(
    Object.entries(shapes).map(([path, shape]) => [path, randn(shape, { generator }).to({ dtype, device })]),
  )
}
const makeGradients = (dtype: Dtype, seed: number) => makeParameters(dtype, 1000 + seed)
const train = (optimizer: Optimizer, dtype: Dtype, from: number, to: number) => {
  for (let k = from; k < to; k++) optimizer.step(makeGradients(dtype, k), { learningRate: 0.01, maxGradientNorm: 1 })
}
const copyOf = (tensors: ReadonlyMap<string, Tensor>) => new Map([...tensors].map(([path, t]) => [path, t.clone()]))
const expectSameBits = (a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>) => {
  expect([...a.keys()]).toEqual([...b.keys()])
  for (const [path, t] of a) {
    expect(t.dtype, path).toBe(b.get(path)!.dtype)
    expect(Buffer.from(t.toTypedArray().buffer).equals(Buffer.from(b.get(path)!.toTypedArray().buffer)), path).toBe(
      true,
    )
  }
}

describe.each(everyCase)('$type, $dtype', ({ type, dtype }) => {
  it('resumes exactly from a saved state', () => {
    const parameters = makeParameters(dtype)
    const straight = createOptimizer(configOf(type), parameters)
    train(straight, dtype, 0, 3)
    const { tensors, step } = straight.state()
    const saved = { tensors: copyOf(tensors), step, weights: copyOf(parameters) }
    // Masters bring bfloat16 parameters back with them; float32 ones come with the model.
    const weights = dtype === 'bfloat16' ? makeParameters(dtype, 77) : copyOf(parameters)
    train(straight, dtype, 3, 6)
    const resumed = createOptimizer(configOf(type), weights)
    resumed.loadState(saved)
    expectSameBits(weights, saved.weights)
    train(resumed, dtype, 3, 6)
    expectSameBits(weights, parameters)
    expectSameBits(resumed.state().tensors, straight.state().tensors)
    expect(resumed.state().step).toBe(6)
    // The state matters: without it the weights come out otherwise.
    const forgetful = copyOf(saved.weights)
    train(createOptimizer(configOf(type), forgetful), dtype, 3, 6)
    const same = [...forgetful].every(([path, t]) => t.equal(parameters.get(path)!))
    expect(same).toBe(false)
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'changes nothing for a gradient of %d',
    (bad) => {
      const parameters = makeParameters(dtype)
      const optimizer = createOptimizer(configOf(type), parameters)
      train(optimizer, dtype, 0, 2)
      const before = { parameters: copyOf(parameters), tensors: copyOf(optimizer.state().tensors) }
      for (const path of Object.keys(shapes)) {
        const gradients = makeGradients(dtype, 7)
        gradients.get(path)!.flatten().select(0, 3).fill_(bad)
        const result = optimizer.step(gradients, { learningRate: 0.01, maxGradientNorm: 1 })
        expect(result.applied).toBe(false)
        expect(Number.isFinite(result.gradientNorm)).toBe(false)
      }
      for (const gradientScale of [bad, tensor(bad, { device })])
        expect(optimizer.step(makeGradients(dtype, 7), { learningRate: 0.01, gradientScale }).applied).toBe(false)
      expect(optimizer.step(makeGradients(dtype, 7), { learningRate: 0.01, gradientNorm: Math.abs(bad) }).applied).toBe(
        false,
      )
      expectSameBits(parameters, before.parameters)
      expectSameBits(optimizer.state().tensors, before.tensors)
      expect(optimizer.state().step).toBe(2)
    },
  )

  it('clips a very large gradient, and refuses one whose norm overflows float32', () => {
    const parameters = makeParameters(dtype)
    const optimizer = createOptimizer(configOf(type), parameters)
    const before = copyOf(parameters)
    const times = (factor: number) => new Map([...makeGradients(dtype, 3)].map(([path, t]) => [path, t.mul(factor)]))
    const options = { learningRate: 0.1, maxGradientNorm: 1 }
    expect(optimizer.step(times(1e30), options)).toEqual({ applied: false, gradientNorm: Number.POSITIVE_INFINITY })
    expectSameBits(parameters, before)
    expect(optimizer.step(times(1e17), options).applied).toBe(true)
    for (const t of [...parameters.values(), ...optimizer.state().tensors.values()])
      expect(Number.isFinite(t.sum().item())).toBe(true)
    const path = 'body.embedTokens.weight'
    expect(parameters.get(path)!.sub(before.get(path)!).abs().max().item()).toBeLessThan(1)
  })

  it('scales equally by a number, a tensor or clipping, and does not change the gradients', () => {
    const run = (options: object) => {
      const parameters = makeParameters(dtype)
      const optimizer = createOptimizer(configOf(type), parameters)
      const gradients = makeGradients(dtype, 3)
      const before = copyOf(gradients)
      const result = optimizer.step(gradients, { learningRate: 0.1, ...options })
      expectSameBits(gradients, before)
      return { result, parameters }
    }
    const plain = run({})
    const { gradientNorm } = plain.result
    expect(gradientNorm).toBeGreaterThan(10)
    const half = run({ gradientScale: 0.5 })
    expect(half.result).toEqual({ applied: true, gradientNorm: gradientNorm / 2 })
    const inTensor = run({ gradientScale: tensor(0.5, { device }) })
    expect(inTensor.result).toEqual(half.result)
    expectSameBits(inTensor.parameters, half.parameters)
    const clipped = run({ gradientScale: 2, maxGradientNorm: gradientNorm / 2, gradientNorm })
    expect(clipped.result.gradientNorm).toBe(2 * gradientNorm)
    for (const [path, t] of clipped.parameters)
      expect(t.allclose(half.parameters.get(path)!, { rtol: 1e-4 })).toBe(true)
  })

  it('uses as many bytes as `stateBytes`, and leaks no tensors', () => {
    const parameters = makeParameters(dtype)
    const config = configOf(type)
    const optimizer = createOptimizer(config, parameters)
    const facts = [...parameterFacts(parameters).values()].map((fact) => ({ ...fact, dtype }))
    expect(optimizer.stateBytes).toBe(optimizerStateBytes(config, facts))
    expect(optimizer.stateBytes).toBe(
      [...optimizer.state().tensors.values()].reduce((sum, t) => sum + t.size * dtypeFacts(t.dtype).bytes, 0),
    )
    const gradients = makeGradients(dtype, 1)
    optimizer.step(gradients, { learningRate: 0.01 })
    collectGarbage()
    const before = liveTensors()
    for (let i = 0; i < 50; i++) optimizer.step(gradients, { learningRate: 0.01, maxGradientNorm: 1 })
    scope(() => optimizer.loadState(optimizer.state()))
    expect(liveTensors()).toBe(before)
  })

  it('updates leaves with gradients of either dtype and of any memory layout', () => {
    const gradients = makeGradients(dtype, 1)
    const run = (convert: (t: Tensor) => Tensor) => {
      const parameters = makeParameters(dtype)
      for (const parameter of parameters.values()) parameter.requiresGrad = true
      const optimizer = createOptimizer(configOf(type), parameters)
      optimizer.step(new Map([...gradients].map(([path, t]) => [path, convert(t)])), { learningRate: 10 })
      for (const parameter of parameters.values())
        expect([parameter.isLeaf, parameter.requiresGrad]).toEqual([true, true])
      return parameters
    }
    const plain = run((t) => t)
    expect(plain.get('body.finalNorm.weight')!.equal(makeParameters(dtype).get('body.finalNorm.weight')!)).toBe(false)
    expectSameBits(
      run((t) => (t.ndim === 2 ? t.t().contiguous().t() : t)),
      plain,
    )
    if (dtype === 'bfloat16')
      expectSameBits(
        run((t) => t.to('float32')),
        plain,
      )
  })
})

describe.each(types)('%s', (type) => {
  it('has type, source and summary', () => {
    const definition = optimizers[type as keyof typeof optimizers]
    expect(definition.type).toBe(type)
    expect(definition.source).toMatch(/arXiv|ICML|kellerjordan/)
    expect(definition.summary).toMatch(/bytes of state/)
    expect(defaultLearningRate(configOf(type))).toBeGreaterThan(0)
    expect(() => parseConfig(optimizerSchema, { type, beta3: 1 }, 'optimizer')).toThrow(/unknown key `beta3`/)
  })

  it('reduces the loss of a regression', () => {
    const generator = new Generator(5)
    const inputs = randn([64, 8], { generator }).to({ device })
    const wanted = inputs.matmul(randn([8, 3], { generator }).to({ device }))
    const weight = zeros([3, 8], { device })
    weight.requiresGrad = true
    const config = parseConfig(optimizerSchema, { type }, 'optimizer')
    const optimizer = createOptimizer(config, new Map([['layers.0.weight', weight]]))
    const losses = Array.from({ length: 200 }, () => {
      weight.grad = undefined
      const loss = inputs.matmul(weight.t()).mseLoss(wanted)
      loss.backward()
      optimizer.step(new Map([['layers.0.weight', weight.grad!]]), { learningRate: defaultLearningRate(config) * 10 })
      return loss.item()
    })
    expect(losses.at(-1)! / losses[0]).toBeLessThan(0.9)
  })

  it('refuses the state of another model and keeps its own', () => {
    const parameters = makeParameters('bfloat16')
    const optimizer = createOptimizer(configOf(type), parameters)
    train(optimizer, 'bfloat16', 0, 2)
    const { tensors, step } = optimizer.state()
    const before = copyOf(tensors)
    const key = 'body.finalNorm.weight/master'
    const broken = (change: (state: Map<string, Tensor>) => void) => {
      const given = new Map(tensors)
      change(given)
      return () => optimizer.loadState({ tensors: given, step })
    }
    expect(broken((state) => state.delete(key))).toThrow(/1 missing \(body.finalNorm.weight\/master\)/)
    expect(broken((state) => state.set('x/master', tensor(1, { device })))).toThrow(/1 unexpected \(x\/master\)/)
    expect(broken((state) => state.set(key, zeros([9], { device })))).toThrow(
      /1 mismatched .*expected float32 \[8\], got float32 \[9\]/,
    )
    expect(broken((state) => state.set(key, zeros([8], { dtype: 'float64', device })))).toThrow(CheckpointError)
    expect(broken((state) => state.set('body.finalNorm.weight/updates', tensor(1, { device })))).toThrow(
      /int64 from 0 to 2/,
    )
    expect(() => optimizer.loadState({ tensors, step: -1 })).toThrow(CheckpointError)
    expect(() => optimizer.loadState({ tensors, step: 1.5 })).toThrow(CheckpointError)
    expectSameBits(optimizer.state().tensors, before)
  })
})

describe('a step', () => {
  const parameters = makeParameters('float32')
  const optimizer = createOptimizer(configOf('adamw'), parameters)
  const gradients = makeGradients('float32', 1)
  const rate = { learningRate: 0.1 }
  const wrong = (path: string, gradient: Tensor) => new Map([...gradients, [path, gradient]])

  it.each([
    ['no gradient', () => optimizer.step(new Map(), rate), ShapeError],
    ['an unknown path', () => optimizer.step(wrong('x', zeros([1], { device })), rate), ShapeError],
    ['another shape', () => optimizer.step(wrong('body.finalNorm.weight', zeros([1], { device })), rate), ShapeError],
    [
      'whole numbers',
      () => optimizer.step(wrong('body.finalNorm.weight', zeros([8], { dtype: 'int64', device })), rate),
      ShapeError,
    ],
    [
      'a scale of two values',
      () => optimizer.step(gradients, { ...rate, gradientScale: zeros([2], { device }) }),
      ShapeError,
    ],
    ['NaN as rate', () => optimizer.step(gradients, { learningRate: Number.NaN }), ConfigError],
    ['a negative rate', () => optimizer.step(gradients, { learningRate: -1 }), ConfigError],
    ['a negative norm', () => optimizer.step(gradients, { ...rate, gradientNorm: -1 }), ConfigError],
    ['a clip of 0', () => optimizer.step(gradients, { ...rate, maxGradientNorm: 0 }), ConfigError],
    // @ts-expect-error as PyTorch has it
    ['nothing', () => optimizer.step(), ConfigError],
    // @ts-expect-error no gradients
    ['options alone', () => optimizer.step(rate), ConfigError],
    // @ts-expect-error no learning rate
    ['gradients alone', () => optimizer.step(gradients), ConfigError],
    // @ts-expect-error no paths
    ['a list', () => optimizer.step([...gradients.values()], rate), ConfigError],
  ])('refuses %s and changes nothing', (_, act, kind) => {
    const before = copyOf(parameters)
    expect(act).toThrow(kind)
    expectSameBits(parameters, before)
    expect(optimizer.state().step).toBe(0)
  })

  it('says what it needs', () => {
    // @ts-expect-error as PyTorch has it
    expect(() => optimizer.step()).toThrow(/needs a Map of gradients by path.*step\(gradients, \{ learningRate/)
  })

  it('counts updates of each parameter on its own, and saves that', () => {
    const own = makeParameters('float32')
    const first = createOptimizer(configOf('adamw'), own)
    const without = new Map(gradients)
    without.delete('body.finalNorm.weight')
    const untouched = own.get('body.finalNorm.weight')!.clone()
    first.step(without, rate)
    expect(own.get('body.finalNorm.weight')!.equal(untouched)).toBe(true)
    first.step(gradients, rate)
    const { tensors, step } = first.state()
    expect([...tensors.keys()].filter((key) => key.endsWith('/updates'))).toEqual(['body.finalNorm.weight/updates'])
    const again = copyOf(own)
    const second = createOptimizer(configOf('adamw'), again)
    second.loadState({ tensors: copyOf(tensors), step })
    first.step(gradients, rate)
    second.step(gradients, rate)
    expectSameBits(again, own)
  })
})

it('refuses parameters that it cannot train', () => {
  const make = (entries: [string, Tensor][]) => () => createOptimizer(configOf('adamw'), new Map(entries))
  expect(make([])).toThrow(ConfigError)
  expect(make([['a', zeros([2], { dtype: 'float64' })]])).toThrow(
    /Expected float32, bfloat16 or float16 for `a`, got float64/,
  )
  const one = zeros([2], { device })
  expect(
    make([
      ['a', one],
      ['b', one],
    ]),
  ).toThrow(/one as `a` and `b`/)
})

it('fills in the defaults of settings, and refuses what it does not have', () => {
  const parameters = makeParameters('float32')
  const { groups } = createOptimizer({ type: 'adamw' }, parameters)
  expect(groups).toEqual(
    createOptimizer(parseConfig(optimizerSchema, { type: 'adamw' }, 'optimizer'), parameters).groups,
  )
  expect(groups.map(({ weightDecay }) => weightDecay)).toEqual([0.01, 0])
  // @ts-expect-error as PyTorch has it
  expect(() => createOptimizer({ type: 'adamw', lr: 1e-3 }, parameters)).toThrow(
    /`optimizer`, got the unknown key `lr`/,
  )
  // @ts-expect-error no such optimizer
  expect(() => createOptimizer({ type: 'adam' }, parameters)).toThrow(/Did you mean `adamw`/)
  // @ts-expect-error an option of a step
  expect(() => createOptimizer({ type: 'adamw' }, parameters, { learningRate: 1 })).toThrow(
    /unknown key `learningRate`/,
  )
  // @ts-expect-error as PyTorch has it
  expect(() => createOptimizer({ type: 'adamw' }, [...parameters.values()])).toThrow(/pass `model.parameters\(\)`/)
})

it.each([
  [{ type: 'sgd', momentum: 0, nesterov: true }, /nesterov/],
  [{ type: 'sgd', dampening: 0.5, nesterov: true }, /nesterov/],
  [{ type: 'sgd', momentum: 0, dampening: 0.5 }, /dampening/],
  [{ type: 'adafactor', relativeStep: false, warmupInit: true }, /warmupInit/],
  [{ type: 'adam' }, /Did you mean/],
  [{ type: 'adamw', beta1: 1 }, /beta1/],
  [{ type: 'muon', layerDecay: 0 }, /layerDecay/],
])('refuses %j', (config, message) => {
  expect(() => parseConfig(optimizerSchema, config, 'optimizer')).toThrow(message)
})

it('keeps in the master of a bfloat16 parameter the digits that rounding loses', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 30 }), (seed) => {
      const parameters = makeParameters('bfloat16', seed)
      const optimizer = createOptimizer(parseConfig(optimizerSchema, { type: 'sgd' }, 'optimizer'), parameters)
      const before = copyOf(parameters)
      // Each step alone is too small to change a bfloat16 value; a thousand of them are not.
      const gradients = new Map([...parameters].map(([path, t]) => [path, noGrad(() => t.sign())]))
      for (let i = 0; i < 40; i++) optimizer.step(gradients, { learningRate: 1e-5 })
      for (const [path, t] of parameters) {
        const exact = optimizer.weights.get(path)!
        expect(exact.to('bfloat16').equal(t)).toBe(true)
        expect(exact.sub(before.get(path)!.to('float32')).abs().min().item()).toBeGreaterThan(1e-4)
      }
    }),
    { numRuns: 5 },
  )
})
