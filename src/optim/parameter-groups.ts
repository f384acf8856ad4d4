// Groups parameters by weight decay, learning-rate scale and role, from their paths and shapes. Independent of optimizers.
import { ConfigError, ShapeError } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { GroupConfig, ParameterFacts, ParameterGroup } from './optimizer.ts'

/** How parameters are grouped. */
export interface GroupOptions {
  /** The groups, where they are known already. */
  groups?: readonly ParameterGroup[]
  /** Layer of a path, from 0, or undefined outside the layers (default: N of `….layers.N.…`). */
  layerOf?(path: string): number | undefined
  /** Number of layers (default: one more than the highest of `layerOf`). */
  numLayers?: number
  /** Whether a parameter is a matrix of a hidden layer (default: two-dimensional ones inside layers). */
  isMatrixOfHiddenLayer?(path: string, tensor: Tensor): boolean
  /** Factor of the learning rate of a parameter (LoRA+). */
  learningRateScale?(path: string): number
}

const layerInPath = (path: string): number | undefined => {
  const found = /(?:^|\.)layers\.(\d+)\./.exec(path)
  return found === null ? undefined : Number(found[1])
}

/** Embedding tables: of tokens, positions and segments, and of T5's relative bias. */
const isTable = (path: string): boolean => /(?:^|\.)(?:embed[A-Z]\w*|relativeBias)\.weight$/.test(path)

/** Whether a parameter is below the first layer. */
const isBelowLayers = (path: string): boolean => /(?:^|\.)(?:embed|relativeBias)/.test(path)

/** Facts of each parameter for update rules. */
export const parameterFacts = (
  parameters: ReadonlyMap<string, Tensor>,
  options: GroupOptions = {},
): Map<string, ParameterFacts> => {
  const layerOf = options.layerOf ?? layerInPath
  const isHidden = options.isMatrixOfHiddenLayer ?? ((path, { ndim }) => ndim === 2 && layerOf(path) !== undefined)
  return new Map(
    [...parameters].map(([path, tensor]) => {
      const hiddenMatrix = isHidden(path, tensor)
      if (hiddenMatrix && tensor.ndim !== 2)
        throw new ShapeError(
          `Expected two dimensions for the hidden matrix \`${path}\`, got [${tensor.shape.join(', ')}]. Leave it out of isMatrixOfHiddenLayer.`,
        )
      return [path, { path, shape: tensor.shape, hiddenMatrix }]
    }),
  )
}

/**
 * Groups parameters. With a layer decay d and L layers, the learning-rate scale of layer i is d^(L - i), that of embeddings
 * d^(L + 1), and that of parameters above the layers 1.
 * @source arXiv:2003.10555 (layer-wise decay), with the exponents of arXiv:2106.08254
 */
export const parameterGroups = (
  config: GroupConfig,
  parameters: ReadonlyMap<string, Tensor>,
  options: GroupOptions = {},
): ParameterGroup[] => {
  const layerOf = options.layerOf ?? layerInPath
  const layers = new Map([...parameters.keys()].map((path) => [path, layerOf(path)]))
  const highest = Math.max(-1, ...[...layers.values()].filter((layer) => layer !== undefined))
  const numLayers = options.numLayers ?? highest + 1
  if (highest >= numLayers)
    throw new ConfigError(`Expected layers below ${numLayers} for \`layerOf\`, got ${highest}. Check \`numLayers\`.`)
  const groups = new Map<string, ParameterGroup>()
  for (const [path, tensor] of parameters) {
    const decays = tensor.ndim < 2 ? config.decayVectors : config.decayEmbeddings || !isTable(path)
    const layer = layers.get(path)
    const height = layer !== undefined ? layer + 1 : isBelowLayers(path) ? 0 : numLayers + 1
    const weightDecay = decays ? config.weightDecay : 0
    const learningRateScale = config.layerDecay ** (numLayers + 1 - height) * (options.learningRateScale?.(path) ?? 1)
    const key = `${weightDecay} ${learningRateScale}`
    const group = groups.get(key) ?? { paths: [], weightDecay, learningRateScale }
    group.paths.push(path)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Groups without the parameters that are not among `parameters`. */
export const groupsOf = (
  groups: readonly ParameterGroup[],
  parameters: ReadonlyMap<string, Tensor>,
): ParameterGroup[] =>
  groups.flatMap((group) => {
    const paths = group.paths.filter((path) => parameters.has(path))
    return paths.length === 0 ? [] : [{ ...group, paths }]
  })
