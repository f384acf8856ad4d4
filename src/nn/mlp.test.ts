// What a feed-forward block keeps in memory after its forward pass.
import { expect, it } from 'vitest'
import { memoryStatistics, randn, scope } from '../tensor/index.ts'
import { GatedMlp, type Mlp, PlainMlp } from './mlp.ts'

const [rows, hidden, intermediate] = [256, 32, 1024]
const wide = rows * intermediate * 4
const output = rows * hidden * 4

/** Bytes that the forward pass leaves, its output included. */
const keptBy = (mlp: Mlp, trained: boolean): number =>
  scope(() => {
    const x = randn([rows, hidden])
    mlp.requireGrad(trained)
    const before = memoryStatistics().inUse
    mlp.forward(x)
    return memoryStatistics().inUse - before
  })

it.each([
  ['plain', new PlainMlp({ hidden, intermediate, activation: 'gelu_new' }), 1],
  ['gated', new GatedMlp({ hidden, intermediate, activation: 'silu' }), 2],
  ['gated by GELU', new GatedMlp({ hidden, intermediate, activation: 'gelu_pytorch_tanh' }), 2],
] as const)(
  '%s: keeps what the activation is computed from, and nothing where nothing is trained',
  (_, mlp, inputs) => {
    expect(keptBy(mlp, true)).toBeLessThan(output + (inputs + 0.1) * wide)
    expect(keptBy(mlp, true)).toBeGreaterThanOrEqual(output + inputs * wide)
    expect(keptBy(mlp, false)).toBeLessThan(output + 0.1 * wide)
  },
)
