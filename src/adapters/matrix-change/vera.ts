// VeRA: random low-rank matrices that all layers share and nobody trains, between two trained vectors of each layer.
import { z } from 'zod'
import { ConfigError, type Named } from '../../core/index.ts'
import { empty, Generator, keep, noGrad, type Tensor } from '../../tensor/index.ts'
import { adapterFields, defineAdapter } from '../adapter.ts'
import { expectNoBias, numberField, type PeftFile } from '../peft/format.ts'
import type { NamedLinear } from '../peft/names.ts'
import { targetsField } from '../targets.ts'
import { attachMatrices, type MatrixMethod, modulesOf, sizeOf } from './layer.ts'
import { matrixFiles } from './peft-files.ts'

const schema = z.strictObject({
  targets: targetsField,
  rank: z.int().min(1).max(16_384).default(256).describe('rank of the shared random matrices'),
  initialScale: z.number().positive().default(0.1).describe('initial value of the vector between the random matrices'),
  projectionSeed: z.int().min(0).default(0).describe('random seed of the shared matrices, which files have too'),
  ...adapterFields,
})
type VeraConfig = z.output<Named<'vera', typeof schema>>

/** The shared matrices: [R,inputs] and [outputs,R] of the largest layer. */
interface Projections {
  a: Tensor
  b: Tensor
}

const largestOf = (modules: readonly NamedLinear[]): [outputs: number, inputs: number] => {
  const sizes = modules.map(sizeOf)
  return [Math.max(...sizes.map(([outputs]) => outputs)), Math.max(...sizes.map(([, inputs]) => inputs))]
}

/** Uniform values as of He et al. @source peft/tuners/vera/model.py, _kaiming_init */
const projected = (shape: readonly [number, number], generator: Generator, { dtype, device }: Tensor): Tensor => {
  const bound = Math.sqrt(6 / shape[1])
  return empty(shape).uniform_(-bound, bound, { generator }).to({ dtype, device })
}

const makeProjections = ({ rank, projectionSeed }: VeraConfig, modules: readonly NamedLinear[]): Projections =>
  noGrad(() => {
    const [outputs, inputs] = largestOf(modules)
    const generator = new Generator(projectionSeed)
    const { dtype, device } = modules[0].parts[0].layer
    const like = empty([0], { dtype, device })
    const a = keep(projected([rank, inputs], generator, like))
    return { a, b: keep(projected([outputs, rank], generator, like)) }
  })

const keys = { a: 'base_model.vera_A', b: 'base_model.vera_B' } as const

/** The shared matrices of each config over its modules, so that copies of an adapter take no more memory. */
const known = new WeakMap<VeraConfig, Projections>()

const projectionsOf = (config: VeraConfig, modules: readonly NamedLinear[], file?: PeftFile): Projections => {
  const before = known.get(config)
  if (before !== undefined) return before
  const [outputs, inputs] = largestOf(modules)
  const stored = file?.has(keys.a) === true
  const found = stored
    ? { a: file.take(keys.a, [config.rank, inputs]), b: file.take(keys.b, [outputs, config.rank]) }
    : undefined
  const { a = undefined, b = undefined } = found ?? {}
  const { device } = modules[0].parts[0].layer
  const placed = (matrix: Tensor) => keep(matrix.to({ device }))
  const made = a === undefined || b === undefined ? makeProjections(config, modules) : { a: placed(a), b: placed(b) }
  known.set(config, made)
  return made
}

const methodOf = (config: VeraConfig, modules: readonly NamedLinear[], file?: PeftFile): MatrixMethod => {
  if (modules.length === 0)
    throw new ConfigError('`vera` needs at least one layer, got none. Change `adapter.targets`.')
  const { a, b } = projectionsOf(config, modules, file)
  return {
    shapes: (outputs) => ({ outer: [outputs], inner: [config.rank] }),
    initialize({ outer, inner }) {
      outer.zero_()
      inner.fill_(config.initialScale)
    },
    change: (outputs, inputs) => ({
      factors: ({ outer, inner }) => ({
        left: b.narrow(0, 0, outputs).to(outer.dtype).mul(outer.unsqueeze(1)),
        right: a.narrow(1, 0, inputs).to(inner.dtype).mul(inner.unsqueeze(1)),
      }),
    }),
    shared: new Map([
      [keys.a, a],
      [keys.b, b],
    ]),
  }
}

export const vera = defineAdapter({
  type: 'vera',
  source: 'arXiv:2310.11454',
  config: schema,
  learningRate: 1e-2,
  family: 'lora',
  plan: (model, config, { generator }) => {
    const modules = modulesOf(model, config.targets)
    return attachMatrices(modules, methodOf(config, modules), generator)
  },
  peft: matrixFiles<VeraConfig>({
    type: 'VERA',
    suffixes: { outer: '.vera_lambda_b', inner: '.vera_lambda_d' },
    fields: ['r', 'd_initial', 'projection_prng_key', 'save_projection', 'vera_dropout', 'bias'],
    hasLayout: true,
    write: ({ rank, initialScale, projectionSeed }) => ({
      r: rank,
      d_initial: initialScale,
      projection_prng_key: projectionSeed,
      save_projection: true,
      vera_dropout: 0,
      bias: 'none',
    }),
    read: (file, targets) => {
      expectNoBias(file)
      return {
        type: 'vera',
        targets,
        rank: numberField(file, 'r', 256),
        initialScale: numberField(file, 'd_initial', 0.1),
        projectionSeed: numberField(file, 'projection_prng_key', 0),
      }
    },
    method: methodOf,
  }),
})
