// Gradient norms by layer, which a run records when it is asked to. Reads gradients and changes none.
import type { ProcessGroup } from '../distributed/index.ts'
import { gradNorm, noGrad, scope, stack, type Tensor } from '../tensor/index.ts'
import type { ReducedGradients } from './data-parallel.ts'

/** The layer of a parameter: `body.layers.3`, or the first two parts of a path outside the layers, such as `body.embedTokens`. */
export const layerOfPath = (path: string): string =>
  /^(?:.*?\.)?layers\.\d+(?=\.)/.exec(path)?.[0] ?? path.split('.').slice(0, 2).join('.')

/** Norms of some gradients by layer, in the order of the parameters. */
const ownNorms = (gradients: ReadonlyMap<string, Tensor>): Record<string, number> => {
  const layers = new Map<string, Tensor[]>()
  for (const [path, gradient] of gradients) {
    const layer = layerOfPath(path)
    const known = layers.get(layer)
    if (known === undefined) layers.set(layer, [gradient])
    else known.push(gradient)
  }
  if (layers.size === 0) return {}
  // One reading for all layers, as each waits for the device.
  const norms = noGrad(() =>
    scope(() => stack([...layers.values()].map((gradients) => gradNorm(gradients))).toFloat32Array()),
  )
  return Object.fromEntries([...layers.keys()].map((layer, i) => [layer, norms[i]]))
}

/**
 * Global norm of the gradients of each layer, before clipping. All processes of a group call it.
 * @param reduced gradients of the whole batch, or the part of them that this process has
 * @param paths of all parameters, whose order layers have
 */
export const layerNorms = async (
  { gradients, shared }: ReducedGradients,
  paths: Iterable<string>,
  group?: ProcessGroup,
): Promise<Record<string, number>> => {
  const own = ownNorms(gradients)
  // With a known global norm, each process has a part of the elements.
  if (group === undefined || shared === undefined) return own
  const squares: Record<string, number> = {}
  for (const part of await group.gather(own))
    for (const [layer, norm] of Object.entries(part)) squares[layer] = (squares[layer] ?? 0) + norm ** 2
  // A process may have no part of a layer.
  const layers = [...new Set([...paths].map(layerOfPath))].filter((layer) => squares[layer] !== undefined)
  return Object.fromEntries(layers.map((layer) => [layer, Math.sqrt(squares[layer])]))
}
