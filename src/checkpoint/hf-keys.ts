// Renames between the paths of our modules and the keys of Hugging Face checkpoints, by a model's rules: both directions from one
// list. Knows no model.
import { CheckpointError } from '../core/index.ts'
import type { KeyRule } from '../nn/index.ts'
import { cat, type Tensor } from '../tensor/index.ts'

const suffixes = ['weight', 'bias'] as const

interface Expanded {
  ours: string[]
  theirs: string
  /** Other names that are read in its place. */
  others: string[]
  writesAll: boolean
  transposed: boolean
}

/** One entry for each tensor that the rules can name. */
export const expandRules = (rules: readonly KeyRule[], numLayers: number): Expanded[] =>
  rules.flatMap(({ ours, theirs, transposed = false, exact = false, alsoReads = [], writesAll = false }) => {
    const layers = theirs.includes('{i}') ? Array.from({ length: numLayers }, (_, i) => String(i)) : ['']
    return layers.flatMap((layer) =>
      (exact ? [''] : suffixes.map((suffix) => `.${suffix}`)).map((suffix) => {
        const name = (path: string) => `${path.replaceAll('{i}', layer)}${suffix}`
        const paths = typeof ours === 'string' ? [ours] : ours
        return { ours: paths.map(name), theirs: name(theirs), others: alsoReads.map(name), writesAll, transposed }
      }),
    )
  })

/**
 * Tensors by our paths, from tensors by theirs; what no rule names is returned by its own key in `unknown`. Nothing is copied: files that
 * hold matrices the other way round give tensors whose columns lie together.
 */
export const fromHfKeys = (
  theirs: ReadonlyMap<string, () => Tensor>,
  rules: readonly KeyRule[],
  numLayers: number,
  prefix = '',
): { state: Map<string, Tensor>; unknown: string[] } => {
  const state = new Map<string, Tensor>()
  const used = new Set<string>()
  for (const { ours, theirs: name, others, transposed } of expandRules(rules, numLayers)) {
    const present = [name, ...others].map((key) => prefix + key).filter((key) => theirs.has(key))
    for (const key of present) used.add(key)
    const read = theirs.get(present[0])
    if (read === undefined) continue
    const stored = read()
    const tensor = transposed && stored.ndim === 2 ? stored.t() : stored
    if (tensor.shape[0] % ours.length !== 0)
      throw new CheckpointError(
        `Expected a first dimension that splits into ${ours.length} for \`${present[0]}\`, got [${stored.shape.join(', ')}].`,
      )
    const parts = ours.length === 1 ? [tensor] : tensor.chunk(ours.length, 0)
    ours.forEach((path, i) => {
      state.set(path, parts[i])
    })
  }
  return { state, unknown: [...theirs.keys()].filter((key) => !used.has(key)) }
}

/** Tensors by their keys, from tensors by our paths; matrices that files hold the other way round are views. */
export const toHfKeys = (
  state: ReadonlyMap<string, Tensor>,
  rules: readonly KeyRule[],
  numLayers: number,
  prefix = '',
): Map<string, Tensor> => {
  const out = new Map<string, Tensor>()
  const written = new Set<string>()
  for (const { ours, theirs, others, writesAll, transposed } of expandRules(rules, numLayers)) {
    const parts = ours.map((path) => state.get(path))
    if (parts.every((part) => part === undefined)) continue
    const missing = ours.filter((_, i) => parts[i] === undefined)
    if (missing.length > 0)
      throw new CheckpointError(`Expected ${ours.join(', ')} together, but found no ${missing.join(', ')}.`, {
        missing,
      })
    const present = parts as Tensor[]
    const joined = present.length === 1 ? present[0] : cat(present, 0)
    const stored = transposed && joined.ndim === 2 ? joined.t() : joined
    for (const name of writesAll ? [theirs, ...others] : [theirs]) out.set(prefix + name, stored)
    for (const path of ours) written.add(path)
  }
  const unnamed = [...state.keys()].filter((path) => !written.has(path))
  if (unnamed.length > 0)
    throw new CheckpointError(
      `Expected a name in the checkpoint for every parameter, but ${unnamed.join(', ')} has none.`,
      { unexpected: unnamed },
    )
  return out
}
