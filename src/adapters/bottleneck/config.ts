// Shared parts of the three bottleneck methods: their settings, and where the bottlenecks are inserted.
import { z } from 'zod'
import { ConfigError, createRandom } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { activationNames, Linear, Mlp } from '../../nn/index.ts'
import { isPlanning } from '../../tensor/index.ts'
import {
  type AttachContext,
  type Attachment,
  adapterFields,
  layerNumber,
  type MethodTraining,
  type Placement,
} from '../adapter.ts'
import { attachInvertible } from './invertible.ts'
import { BottleneckLayer, type BottleneckShape } from './layer.ts'

/** Settings of a bottleneck method. @param defaults those of its publication */
export const bottleneckFields = (defaults: { scale: number }) => ({
  size: z
    .int()
    .min(1)
    .optional()
    .describe('units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4)))'),
  activation: z
    .enum(activationNames as [string, ...string[]])
    .default('relu')
    .describe('activation in the bottleneck'),
  scale: z.number().positive().default(defaults.scale).describe('factor of the output of the bottleneck'),
  dropLayers: z
    .int()
    .nonnegative()
    .default(0)
    .describe('AdapterDrop: first layers without an adapter, which then cost nothing in training and inference'),
  randomDropLayers: z
    .int()
    .nonnegative()
    .default(0)
    .describe('AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random'),
  invertible: z
    .boolean()
    .default(false)
    .describe('MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer'),
  invertibleReduction: z
    .number()
    .min(1)
    .optional()
    .describe('width of half an embedding over the units within the invertible adapter (default: 2)'),
  ...adapterFields,
})

interface BottleneckConfig {
  size?: number
  activation: string
  scale: number
  dropLayers: number
  randomDropLayers: number
  invertible: boolean
  invertibleReduction?: number
}

/** A bottleneck method without its adapters in more of the first layers. @source arXiv:2010.11918 */
export const withoutLayers = <Config extends BottleneckConfig>(config: Config, layers: number): Config => ({
  ...config,
  dropLayers: Math.max(config.dropLayers, layers),
})

/** The places that are left without those in the first layers. @throws ConfigError where none is left */
const afterDropped = (placements: Placement[], { dropLayers }: BottleneckConfig): Placement[] => {
  const left = placements.filter(({ path }) => layerNumber(path) >= dropLayers)
  if (left.length > 0 || placements.length === 0) return left
  const layers = 1 + Math.max(...placements.map(({ path }) => layerNumber(path)))
  throw new ConfigError(`Expected fewer than ${layers} for \`dropLayers\`, the number of layers, got ${dropLayers}.`)
}

/**
 * Fills in the size. The published hiddenSize / 16 is too small for narrow models: MiniLM scores half a point less with
 * 24 units than with 64.
 */
export const settleSize = <Config extends BottleneckConfig>(model: Model, config: Config): Config => {
  const { hiddenSize } = model.facts
  const size = Math.max(1, Math.round(Math.max(hiddenSize / 16, Math.min(64, hiddenSize / 4))))
  return { ...config, size: config.size ?? size }
}

/** The places in layers that are left, those of the invertible adapter, and what is dropped in training. */
const assembled = (
  model: Model,
  config: BottleneckConfig,
  { generator }: AttachContext,
  layers: Placement[],
): Attachment => {
  const { invertible, invertibleReduction, randomDropLayers } = config
  if (!invertible && invertibleReduction !== undefined)
    throw new ConfigError('`adapter.invertibleReduction` needs `adapter.invertible`: set it too, or remove both.')
  const activation = config.activation as BottleneckShape['activation']
  const shape = { activation, reduction: invertibleReduction ?? 2 }
  const placements = afterDropped(layers, config)
  return {
    trained: [],
    placements: [...placements, ...(invertible ? attachInvertible(model, shape, generator) : [])],
    beginTraining: () => (randomDropLayers > 0 ? dropAtRandom(placements, randomDropLayers) : undefined),
  }
}

const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)

/** Inserts a bottleneck after every linear layer of one of these names. */
export const attachAfter = (
  model: Model,
  names: readonly string[],
  config: BottleneckConfig,
  context: AttachContext,
): Attachment => {
  const layers = [...model.body.modules('body')].flatMap(([path, host]): Placement[] => {
    if (!(host instanceof Linear) || !names.includes(last(path))) return []
    const shape = shapeOf(model, config, false)
    return [{ path, host, adapter: new BottleneckLayer(host.shape[0], host, shape, context.generator) }]
  })
  return assembled(model, config, context, layers)
}

/** Inserts a bottleneck parallel to every feed-forward block. */
export const attachBeside = (model: Model, config: BottleneckConfig, context: AttachContext): Attachment => {
  const layers = feedForwardBlocks(model).map(([path, host]): Placement => {
    const shape = shapeOf(model, config, true)
    const like = model.body.embedTokens
    return { path, host, adapter: new BottleneckLayer(model.facts.hiddenSize, like, shape, context.generator) }
  })
  return assembled(model, config, context, layers)
}

/** Feed-forward blocks, and mixtures of experts in place of some; an expert alone is none. */
const feedForwardBlocks = ({ body }: Model): [string, Mlp][] => {
  const blocks = [...body.modules('body')].filter((entry): entry is [string, Mlp] => entry[1] instanceof Mlp)
  const inner = new Set(blocks.flatMap(([, block]) => [...block.modules()].slice(1).map(([, module]) => module)))
  return blocks.filter(([, block]) => !inner.has(block))
}

const shapeOf = (model: Model, { size, activation, scale }: BottleneckConfig, parallel: boolean): BottleneckShape => ({
  // The size that files without `size` were trained with.
  size: size ?? Math.max(1, Math.round(model.facts.hiddenSize / 16)),
  activation: activation as BottleneckShape['activation'],
  scale,
  parallel,
})

// AdapterDrop in its robust form: each training step leaves adapters out of a random number of the first layers.
// @source arXiv:2010.11918, section 4.1

/**
 * Leaves bottlenecks out of the first 0 to `most` layers in each step; the number depends on the seed and the step alone.
 * @throws ConfigError for a number that would leave none
 */
const dropAtRandom = (placements: readonly Placement[], most: number): MethodTraining => {
  const numbered = placements.flatMap(({ path, adapter }) =>
    adapter instanceof BottleneckLayer ? [{ layer: layerNumber(path), adapter }] : [],
  )
  const first = Math.min(...numbered.map(({ layer }) => layer))
  const last = Math.max(...numbered.map(({ layer }) => layer))
  if (last === first)
    throw new ConfigError('`adapter.randomDropLayers` needs adapters in two layers or more: remove it.')
  if (most <= first || most > last)
    throw new ConfigError(
      `Expected ${first + 1} to ${last} for \`adapter.randomDropLayers\`, so that steps differ and one layer always has its adapter, got ${most}.`,
    )
  const dropBelow = (count: number) => {
    for (const { layer, adapter } of numbered) adapter.drop(layer < count)
  }
  return {
    // Plans take the memory of a step with all adapters.
    beginStep: ({ seed, step }) =>
      dropBelow(isPlanning() ? 0 : createRandom(`${seed}/adapter-drop/${step}`).integer(most + 1)),
    endStep: () => dropBelow(0),
  }
}
