// Which parameters decay, which learn more slowly, and which are matrices of hidden layers: rules over paths and shapes.
// Knows no optimizer.
import { ConfigError, ShapeError } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { GroupConfig, ParameterFacts, ParameterGroup } from './optimizer.ts'

export interface GroupOptions {
  /** The layer that a path belongs to, from 0, or undefined outside the layers; `….layers.N.…` unless given. */
  layerOf?(path: string): number | undefined
  /** Number of layers; one more than the highest that `layerOf` gives unless given. */
  numLayers?: number
  /** Two-dimensional parameters inside layers unless given. */
  isMatrixOfHiddenLayer?(path: string, tensor: Tensor): boolean
  /** A further factor of the learning rate of one parameter (LoRA+). */
  learningRateScale?(path: string): number
}

const layerInPath = (path: string): number | undefined => {
  const found = /(?:^|\.)layers\.(\d+)\./.exec(path)
  return found === null ? undefined : Number(found[1])
}

/** Tables that are looked up: token, position and type embeddings, and learned attention biases by distance. */
const isTable = (path: string): boolean => /(?:^|\.)(?:embed[A-Z]\w*|relativeBias)\.weight$/.test(path)

/** What stands below the first layer. */
const isBelowLayers = (path: string): boolean => /(?:^|\.)(?:embed|relativeBias)/.test(path)

/** The facts that rules may ask of each parameter. */
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
 * Parameters by what they share. With a layer decay d and L layers, layer i learns at d^(L - i) of the learning rate, embeddings
 * at d^(L + 1), and all above the layers at all of it.
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
