// Whether a GPU computes what the CPU computes, on small cases of what models, losses, optimizers and generation rest on. A driver or a
// library for another card would otherwise show itself as a loss that does not fall.
import { ConfigError } from '../core/index.ts'
import { gradients, noGrad } from './autograd.ts'
import { isGpu } from './device.ts'
import {
  adamw_,
  addLayerNorm,
  attention,
  chooseTokens,
  dropout,
  embedding,
  fusedGelu,
  linear,
  linearCrossEntropy,
  randn,
} from './functions.ts'
import { Generator } from './generator.ts'
import { scope } from './scope.ts'
import { Tensor } from './tensor.ts'

/** Makes the inputs of a case: numbers that are the same on every device, a leaf with a gradient, and ids. */
interface Inputs {
  numbers(...shape: number[]): Tensor
  leaf(...shape: number[]): Tensor
  ids(...ids: number[]): Tensor
}

/** A small computation whose results are compared. */
export interface DeviceCase {
  name: string
  /** Largest difference, relative to the largest value; 0 for ids and masks. */
  tolerance: number
  compute(inputs: Inputs): readonly Tensor[]
}

/** GPUs may round the inputs of products, and they add in another order. */
const rounding = 5e-3

const withGradients = (loss: Tensor, leaves: readonly Tensor[]): Tensor[] => [
  loss.detach(),
  ...(gradients([loss], [...leaves]) as Tensor[]),
]

export const deviceCases: readonly DeviceCase[] = [
  {
    name: 'layers and their gradients',
    tolerance: rounding,
    compute({ leaf, numbers }) {
      const [x, weight, bias, scale] = [leaf(3, 5, 32), leaf(48, 32), leaf(48), leaf(48)]
      const [, normal] = addLayerNorm(fusedGelu(linear(x, weight, bias)), null, scale, bias, 1e-5)
      return withGradients(normal.mul(numbers(3, 5, 48)).sum(), [x, weight, bias, scale])
    },
  },
  {
    name: 'attention and its gradients',
    tolerance: rounding,
    compute({ leaf, numbers }) {
      const [query, key, value] = [leaf(2, 7, 4, 16), leaf(2, 7, 2, 16), leaf(2, 7, 2, 16)]
      const out = attention(query, key, value, { causal: true })
      return withGradients(out.mul(numbers(2, 7, 4, 16)).sum(), [query, key, value])
    },
  },
  {
    name: 'the loss over a vocabulary and its gradients',
    tolerance: rounding,
    compute({ leaf, ids }) {
      const [table, weight] = [leaf(11, 16), leaf(11, 16)]
      const [sum] = linearCrossEntropy(embedding(table, ids(3, 0, 10, 3)), weight, null, ids(1, -100, 7, 2))
      return withGradients(sum, [table, weight])
    },
  },
  {
    name: 'dropout masks',
    tolerance: 0,
    compute: ({ numbers, ids }) => [
      dropout(numbers(4, 64).abs().add(1), 0.5, {
        generator: new Generator(5),
        rowKeys: ids(0, 1, -3, 2 ** 40),
      }).ne(0),
    ],
  },
  {
    name: 'chosen tokens',
    tolerance: 0,
    compute({ numbers }) {
      const [temperatures, uniforms] = [
        [0, 1, 0.7],
        [0, 0.4, 0.95],
      ].map((values) => Tensor.from(Float64Array.from(values)))
      const [ids] = chooseTokens(numbers(3, 50).mul(3), temperatures, uniforms, { logged: false })
      return [ids]
    },
  },
  {
    name: 'steps of AdamW',
    tolerance: rounding,
    compute({ numbers }) {
      const [weights, average, square] = [numbers(9, 8), numbers(9, 8), numbers(9, 8).pow(2)]
      adamw_([weights], {
        expAvgs: [average],
        expAvgSqs: [square],
        workingCopies: [numbers(0)],
        grads: [numbers(9, 8)],
        learningRates: [0.1],
        weightDecays: [0.1],
        ...{ beta1: 0.9, beta2: 0.99, eps: 1e-8, step: 3 },
      })
      return [weights, average, square]
    },
  },
]

/** Results of a case on a device, as numbers on the CPU. */
const resultsOn = (device: string, { compute }: DeviceCase): Tensor[] => {
  const generator = new Generator(7)
  const numbers = (...shape: number[]) => randn(shape, { generator }).to({ device })
  const results = compute({
    numbers,
    leaf(...shape) {
      const tensor = numbers(...shape)
      tensor.requiresGrad = true
      return tensor
    },
    ids: (...ids) => Tensor.from(BigInt64Array.from(ids, BigInt), { device }),
  })
  return results.map((one) => one.detach().to({ device: 'cpu' }).to('float64'))
}

/** Largest difference of the results of two devices, relative to the largest value; not a number for results that are none. */
const difference = (here: readonly Tensor[], there: readonly Tensor[]): number =>
  Math.max(
    ...here.map((own, i) =>
      noGrad(() => Number(own.sub(there[i]).abs().max().item()) / Math.max(1e-30, Number(own.abs().max().item()))),
    ),
  )

/**
 * Compares a device with the CPU.
 * @throws ConfigError that names the first case whose results differ
 */
export const compareWithCpu = (device: string, cases: readonly DeviceCase[] = deviceCases): void => {
  for (const one of cases) {
    const found = scope(() => difference(resultsOn('cpu', one), resultsOn(device, one)))
    if (found <= one.tolerance) continue
    const much = Number.isFinite(found)
      ? `a relative difference of ${found.toPrecision(2)}`
      : 'values that are no numbers'
    throw new ConfigError(
      `Expected the results of the CPU on ${device}, got ${much} for ${one.name}. Its driver or libtorch computes wrongly: update them, or choose cpu.`,
    )
  }
}

const checked = new Set<string>()

/**
 * Compares a GPU with the CPU before its first use in this process, which takes what its libraries take to load.
 * @throws ConfigError where their results differ
 */
export const checkGpu = (device: string): void => {
  if (!isGpu(device) || checked.has(device)) return
  compareWithCpu(device)
  checked.add(device)
}
