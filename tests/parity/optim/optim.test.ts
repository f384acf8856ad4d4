// Every optimizer over five steps against its reference, schedules against transformers', the average of weights against torch's.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/core/index.ts'
import {
  averageSchema,
  createAverage,
  createOptimizer,
  optimizerSchema,
  optimizers,
  scheduleAt,
  scheduleSchema,
  schedules,
} from '../../../src/optim/index.ts'
import { type Dtype, noGrad, type Tensor } from '../../../src/tensor/index.ts'
import { placed } from '../../device.ts'
import { type StoredTensor, storedTensor } from '../golden-tensors.ts'

type Stored = Record<string, StoredTensor>
interface Golden {
  rates: number[]
  maxGradientNorm: number
  inputs: Record<'float32' | 'bfloat16', { start: Stored; gradients: Stored[] }>
  cases: {
    name: string
    config: { type: string }
    dtype?: 'float32' | 'bfloat16'
    /** Pairs of a path and the step at which it has no gradient. */
    missing?: [path: string, step: number][]
    rates?: number[]
    tolerance?: number
    after: Stored[]
  }[]
  schedules: { totalSteps: number; cases: { config: { type: string }; values: number[] }[] }
  average: { decay: number; after: Stored[] }
  mean: Stored
}

const golden: Golden = JSON.parse(
  gunzipSync(readFileSync(new URL('./golden/optim.json.gz', import.meta.url))).toString(),
)
const open = (tensors: Stored): Map<string, Tensor> =>
  new Map(Object.entries(tensors).map(([path, stored]) => [path, placed(storedTensor(stored))]))

/** Largest difference over all parameters, relative to the largest value of each. */
const distance = (actual: ReadonlyMap<string, Tensor>, expected: Stored, dtype: Dtype): number =>
  Math.max(
    ...[...open(expected)].map(([path, wanted]) => {
      const got = actual.get(path)!
      expect([got.dtype, got.shape], path).toEqual([dtype, wanted.shape])
      const [a, b] = [got.detach().to('float64'), wanted.to('float64')]
      return a.sub(b).abs().max().item() / b.abs().max().item()
    }),
  )

describe('optimizers against their references', () => {
  it.each(golden.cases)('$name', ({ config, dtype = 'float32', missing = [], rates, tolerance, after }) => {
    const { start, gradients } = golden.inputs[dtype]
    const parameters = open(start)
    for (const parameter of parameters.values()) parameter.requiresGrad = true
    const optimizer = createOptimizer(parseConfig(optimizerSchema, config, 'optimizer'), parameters)
    gradients.forEach((stored, k) => {
      const given = open(stored)
      for (const [path, step] of missing) if (step === k) given.delete(path)
      const { applied, gradientNorm } = optimizer.step(given, {
        learningRate: (rates ?? golden.rates)[k],
        maxGradientNorm: golden.maxGradientNorm,
      })
      expect(applied).toBe(true)
      expect(gradientNorm).toBeGreaterThan(golden.maxGradientNorm)
      // bfloat16 copies of nearly equal masters may round to neighbours: one part in 128 at most.
      const bound = tolerance ?? (dtype === 'bfloat16' ? 2 ** -7 : 2e-6)
      expect(distance(parameters, after[k], dtype), `step ${k + 1}`).toBeLessThan(bound)
    })
  })

  it('cover every optimizer', () => {
    const covered = [...golden.cases, ...many.cases].map(({ config }) => config.type)
    expect([...new Set(covered)].sort()).toEqual(Object.keys(optimizers).sort())
  })

  it('gives bfloat16 parameters equal to the rounded masters of the reference nearly everywhere', () => {
    const { config, after } = golden.cases.find(({ dtype }) => dtype === 'bfloat16')!
    const { start, gradients } = golden.inputs.bfloat16
    const parameters = open(start)
    const optimizer = createOptimizer(parseConfig(optimizerSchema, config, 'optimizer'), parameters)
    gradients.forEach((stored, k) => {
      optimizer.step(open(stored), { learningRate: golden.rates[k], maxGradientNorm: golden.maxGradientNorm })
    })
    let [different, all] = [0, 0]
    for (const [path, wanted] of open(after.at(-1)!)) {
      different += parameters.get(path)!.ne(wanted).sum().item()
      all += wanted.size
    }
    expect(different / all).toBeLessThan(0.005)
  })
})

interface Many {
  rate: number
  start: Stored
  /** Few gradients, used one after the other, times a factor of each step. */
  gradients: Stored[]
  factors: number[]
  cases: { config: { type: string }; after: Stored; evaluated?: Stored; tolerance: number }[]
}

const many: Many = JSON.parse(
  gunzipSync(readFileSync(new URL('./golden/optim-50.json.gz', import.meta.url))).toString(),
)

describe('optimizers over 50 steps against their references', () => {
  const few = many.gradients.map(open)
  it.each(many.cases.map((one) => [JSON.stringify(one.config), one] as const))(
    '%s',
    (_, { config, after, evaluated, tolerance }) => {
      const parameters = open(many.start)
      const optimizer = createOptimizer(parseConfig(optimizerSchema, config, 'optimizer'), parameters)
      for (const [k, factor] of many.factors.entries()) {
        const gradients = new Map([...few[k % few.length]].map(([path, one]) => [path, one.mul(factor)]))
        optimizer.step(gradients, { learningRate: many.rate })
      }
      expect(many.factors).toHaveLength(50)
      expect(distance(parameters, after, 'float32')).toBeLessThan(tolerance)
      expect(optimizer.average === undefined).toBe(evaluated === undefined)
      if (evaluated === undefined) return
      const trained = new Map([...parameters].map(([path, one]) => [path, one.clone()]))
      optimizer.average?.swapIn()
      expect(distance(parameters, evaluated, 'float32')).toBeLessThan(tolerance)
      expect(distance(parameters, after, 'float32')).toBeGreaterThan(10 * tolerance)
      optimizer.average?.swapOut()
      for (const [path, one] of parameters) expect(one.equal(trained.get(path)!), path).toBe(true)
    },
  )
})

describe('schedules against transformers', () => {
  it.each(golden.schedules.cases.map(({ config, values }) => [JSON.stringify(config), config, values] as const))(
    '%s',
    (_, given, values) => {
      const config = parseConfig(scheduleSchema, given, 'schedule')
      const { totalSteps } = golden.schedules
      expect(values.length).toBeGreaterThan(totalSteps)
      values.forEach((value, step) => {
        expect(scheduleAt(config, { step, totalSteps }), `step ${step}`).toBeCloseTo(value, 12)
      })
    },
  )

  it('cover every schedule', () => {
    const covered = new Set(golden.schedules.cases.map(({ config }) => config.type))
    expect([...covered].sort()).toEqual(Object.keys(schedules).sort())
  })
})

it("averages weights as torch's AveragedModel does", () => {
  const { start, gradients } = golden.inputs.float32
  const parameters = open(start)
  const average = createAverage(parseConfig(averageSchema, { decay: golden.average.decay }, 'average'), parameters)
  gradients.forEach((stored, k) => {
    noGrad(() => {
      for (const [path, gradient] of open(stored)) parameters.get(path)!.add_(gradient)
    })
    average.update()
    expect(distance(average.state().tensors, golden.average.after[k], 'float32')).toBeLessThan(1e-6)
  })
})

it("averages weights alike from a step on as torch's AveragedModel does (SWA)", () => {
  const { start, gradients } = golden.inputs.float32
  const parameters = open(start)
  const settings = { method: 'mean', startStep: 2 }
  const average = createAverage(parseConfig(averageSchema, settings, 'average'), parameters)
  for (const stored of gradients) {
    noGrad(() => {
      for (const [path, gradient] of open(stored)) parameters.get(path)!.add_(gradient)
    })
    average.update()
  }
  expect(distance(average.state().tensors, golden.mean, 'float32')).toBeLessThan(1e-6)
  expect(() => parseConfig(averageSchema, { method: 'mean', decay: 0.9 }, 'average')).toThrow(/no `decay`/)
})
