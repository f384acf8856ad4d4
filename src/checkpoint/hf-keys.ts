// Maps between paths of our modules and keys of Hugging Face checkpoints by the key rules of a model, in both
// directions. Independent of models.
import { CheckpointError } from '../core/index.ts'
import { blockMatrixOf, type KeyRule, standInFor } from '../nn/index.ts'
import { cat, catRows, Tensor } from '../tensor/index.ts'

const suffixes = ['weight', 'bias'] as const

interface Expanded {
  ours: string[]
  theirs: string
  /** Alternative names for reading. */
  others: string[]
  writesAll: boolean
  transposed: boolean
  rows?: readonly number[]
  heads?: number
  stacked: boolean
}

/** One entry for each tensor that the rules describe. */
export const expandRules = (rules: readonly KeyRule[], numLayers: number): Expanded[] =>
  rules.flatMap((rule) => {
    const {
      ours,
      theirs,
      transposed = false,
      exact = false,
      alsoReads = [],
      writesAll = false,
      rows,
      heads,
      stacked = false,
    } = rule
    const layers = theirs.includes('{i}') ? Array.from({ length: numLayers }, (_, i) => String(i)) : ['']
    return layers.flatMap((layer) =>
      (exact ? [''] : suffixes.map((suffix) => `.${suffix}`)).map((suffix) => {
        const name = (path: string) => `${path.replaceAll('{i}', layer)}${suffix}`
        const paths = typeof ours === 'string' ? [ours] : ours
        const others = alsoReads.map(name)
        return { ours: paths.map(name), theirs: name(theirs), others, writesAll, transposed, rows, heads, stacked }
      }),
    )
  })

/** The rows of each matrix of a fused one, along the first dimension. */
export const splitFused = (
  fused: Tensor,
  count: number,
  { rows, heads }: Pick<Expanded, 'rows' | 'heads'>,
): Tensor[] => {
  if (count === 1) return [fused]
  const [first, ...rest] = fused.shape
  const matrix = blockMatrixOf(fused)
  if (matrix !== undefined) {
    const numbered = Tensor.from(
      BigInt64Array.from({ length: first }, (_, row) => BigInt(row)),
      { shape: [first, 1] },
    )
    return splitFused(numbered, count, { rows, heads }).map((part) => standInFor(matrix.select(part.reshape([-1]))))
  }
  if (heads !== undefined) {
    const byHead = fused.view([heads, count, first / (heads * count), ...rest])
    return Array.from({ length: count }, (_, i) => byHead.select(1, i).reshape([first / count, ...rest]))
  }
  if (rows === undefined) return fused.chunk(count, 0)
  const ends = rows.map((_, i) => rows.slice(0, i + 1).reduce((sum, size) => sum + size, 0))
  return rows.map((size, i) => fused.narrow(0, ends[i] - size, size))
}

/** The fused matrix of several, along the first dimension. */
export const joinFused = (parts: readonly Tensor[], heads: number | undefined): Tensor => {
  if (parts.length === 1) return parts[0]
  if (heads === undefined) return catRows(parts)
  const [first, ...rest] = parts[0].shape
  const byHead = parts.map((part) => part.view([heads, 1, first / heads, ...rest]))
  return cat(byHead, 1).reshape([first * parts.length, ...rest])
}

/**
 * Maps tensors by Hugging Face keys to tensors by our paths; keys without a rule are in `unknown`. Nothing is copied:
 * matrices that files store transposed become transposed views.
 * @throws CheckpointError for a fused matrix that cannot be split
 */
export const fromHfKeys = (
  theirs: ReadonlyMap<string, () => Tensor>,
  rules: readonly KeyRule[],
  numLayers: number,
  prefix = '',
): { state: Map<string, Tensor>; unknown: string[] } => {
  const state = new Map<string, Tensor>()
  const used = new Set<string>()
  for (const { ours, theirs: name, others, transposed, rows, heads, stacked } of expandRules(rules, numLayers)) {
    const present = [name, ...others].map((key) => prefix + key).filter((key) => theirs.has(key))
    for (const key of present) used.add(key)
    const read = theirs.get(present[0])
    if (read === undefined) continue
    const stored = read()
    const flat = stacked && stored.ndim > 2 ? stored.flatten(0, 1) : stored
    const tensor = transposed && stored.ndim === 2 ? stored.t() : flat
    const [first] = tensor.shape
    if (first % (ours.length * (heads ?? 1)) !== 0 && rows === undefined)
      throw new CheckpointError(
        `Expected a first dimension that is divisible by ${ours.length * (heads ?? 1)} for \`${present[0]}\`, got [${stored.shape.join(', ')}].`,
      )
    const total = rows?.reduce((sum, size) => sum + size, 0)
    if (total !== undefined && total !== first)
      throw new CheckpointError(
        `Expected ${total} rows for \`${present[0]}\`, those of ${ours.join(', ')}, got [${stored.shape.join(', ')}].`,
      )
    const parts = splitFused(tensor, ours.length, { rows, heads })
    ours.forEach((path, i) => {
      state.set(path, parts[i])
    })
  }
  return { state, unknown: [...theirs.keys()].filter((key) => !used.has(key)) }
}

/**
 * Maps tensors by our paths to tensors by Hugging Face keys; matrices that files store transposed are views.
 * @throws CheckpointError for a path without a rule
 */
export const toHfKeys = (
  state: ReadonlyMap<string, Tensor>,
  rules: readonly KeyRule[],
  numLayers: number,
  prefix = '',
): Map<string, Tensor> => {
  const out = new Map<string, Tensor>()
  const written = new Set<string>()
  for (const { ours, theirs, others, writesAll, transposed, heads, stacked } of expandRules(rules, numLayers)) {
    if (stacked) continue
    const parts = ours.map((path) => state.get(path))
    if (parts.every((part) => part === undefined)) continue
    const missing = ours.filter((_, i) => parts[i] === undefined)
    if (missing.length > 0)
      throw new CheckpointError(`Expected ${ours.join(', ')} together, but found no ${missing.join(', ')}.`, {
        missing,
      })
    const present = parts as Tensor[]
    const joined = joinFused(present, heads)
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
