// Gradients leave a backward pass bucket by bucket, as soon as they are complete. One process stands for a group, so that the sums are
// the plain gradients.
import { afterEach, describe, expect, it } from 'vitest'
import type { ProcessGroup } from '../distributed/index.ts'
import { clearGrads, enableGrad, scope, Tensor, withBackward } from '../tensor/index.ts'
import { GradientExchange } from './gradient-exchange.ts'

const names = ['first', 'second', 'third', 'unused']
const leaf = (value: number): Tensor => {
  const tensor = Tensor.from(Float32Array.of(value, value + 1), { shape: [2] })
  tensor.requiresGrad = true
  return tensor
}
let log: string[] = []
let exchange: GradientExchange | undefined
afterEach(() => {
  exchange?.close()
  log = []
})

/** A group of one process, with one bucket for each parameter. */
const groupOfOne = (overlaps: boolean): ProcessGroup =>
  ({
    rank: 0,
    size: 1,
    bucketBytes: 8,
    overlaps,
    beginSum_(tensor: Tensor) {
      log.push(`sent ${tensor.size}`)
      return tensor
    },
    arrived: async (tensor: Tensor) => tensor.view([-1]),
    sum_: async () => void log.push('sent late part'),
  }) as unknown as ProcessGroup

const setUp = (overlaps = true) => {
  const parameters = new Map(names.map((name, i) => [name, leaf(i + 1)] as const))
  const made = new GradientExchange(groupOfOne(overlaps), parameters, { everyMicroBatch: false })
  exchange = made
  const source = {
    take: (path: string) => parameters.get(path)?.grad,
    drop: (paths: readonly string[]) => clearGrads(paths.flatMap((path) => parameters.get(path) ?? [])),
  }
  /** A step with one micro-batch; `loss` gets the parameters. */
  const step = async (loss: (of: (name: string) => Tensor) => Tensor): Promise<Record<string, number[]>> => {
    log = []
    made.begin()
    made.beginPass(source)
    made.openMicroBatch(true)
    scope(() => loss((name) => parameters.get(name) as Tensor).backward())
    await made.closeMicroBatch()
    log.push('backward pass done')
    await made.endPass(1, 1)
    const { missing, late } = made.report()
    const { gradients, release } = await made.collect([new Set(missing)], late)
    const values = Object.fromEntries([...gradients].map(([name, tensor]) => [name, [...tensor.toFloat32Array()]]))
    release()
    return values
  }
  return { step }
}

/** Says when the gradient of a value is computed. */
const noted = (value: Tensor, name: string): Tensor => {
  const [out] = withBackward([value], [value], ([gradient]) => {
    log.push(name)
    return [gradient]
  })
  return out
}

const chain = (of: (name: string) => Tensor): Tensor =>
  noted(noted(of('first').mul(2), 'first layer').mul(of('second')), 'second layer')
    .mul(of('third'))
    .sum()
// By hand: the derivative of 2 * a * b * c by each factor, with a = [1, 2], b = [2, 3] and c = [3, 4].
const chainGradients = { first: [12, 24], second: [6, 16], third: [4, 12] }

const sent = (count: number): string[] => Array(count).fill('sent 2')

describe('a gradient exchange', () => {
  it('sends the last layers while the first ones are computed, from the second step on', async () => {
    const { step } = setUp()
    expect(await step(chain)).toEqual(chainGradients)
    expect(log).toEqual(['second layer', 'first layer', 'backward pass done', ...sent(4)])
    expect(await step(chain)).toEqual(chainGradients)
    // The bucket of the unused parameter, the last one, goes first.
    expect(log).toEqual([...sent(2), 'second layer', ...sent(1), 'first layer', ...sent(1), 'backward pass done'])
  })

  it('sends after the backward pass where it must not overlap', async () => {
    const { step } = setUp(false)
    for (const _ of [1, 2]) {
      expect(await step(chain)).toEqual(chainGradients)
      expect(log).toEqual(['second layer', 'first layer', 'backward pass done', ...sent(4)])
    }
  })

  it('adds what comes after a bucket was sent, and waits for it in the next step', async () => {
    const { step } = setUp()
    await step(chain)
    // As where layers share a parameter and are recomputed: each has a backward pass of its own.
    const shared = (of: (name: string) => Tensor): Tensor => {
      const doubled = of('first').mul(2)
      const [out] = withBackward([doubled], [doubled], ([gradient]) => {
        log.push('first layer')
        enableGrad(() => of('third').sum().backward())
        return [gradient]
      })
      return out.mul(of('second')).mul(of('third')).sum()
    }
    const gradients = { ...chainGradients, third: [5, 13] }
    expect(await step(shared)).toEqual(gradients)
    expect(log).toEqual([...sent(3), 'first layer', ...sent(1), 'backward pass done', 'sent late part'])
    expect(await step(shared)).toEqual(gradients)
    expect(log).toEqual([...sent(1), 'first layer', ...sent(3), 'backward pass done'])
  })

  it('waits for a parameter that a step does not use', async () => {
    const { step } = setUp()
    await step(chain)
    expect(await step((of) => of('first').mul(of('second')).sum())).toEqual({ first: [2, 3], second: [1, 2] })
    expect(log).toEqual([...sent(1), 'backward pass done', ...sent(3)])
  })
})
