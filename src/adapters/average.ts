// The weighted sum of adapters of one method. Independent of methods: how a layer's values add up is the layer's own
// matter.
import { ConfigError } from '../core/index.ts'
import { noGrad, type Tensor } from '../tensor/index.ts'
import type { BankEntry } from './bank.ts'
import { weightedSum } from './layer-adapter.ts'

/** An adapter to be summed. */
export interface WeightedEntry {
  entry: BankEntry
  weight: number
  /** Its tensors, by the paths in the model. */
  tensors: ReadonlyMap<string, Tensor>
}

/** @returns the first adapter @throws ConfigError without adapters, and for different methods, heads or configs */
export const checkAverage = (sources: readonly WeightedEntry[]): BankEntry => {
  const first = sources[0]?.entry
  if (first === undefined) throw new ConfigError('Expected at least one adapter for `average`, got none.')
  const { definition, model } = first
  if (sources.some(({ entry }) => entry.definition !== definition || entry.model !== model))
    throw new ConfigError(
      `Expected adapters of one method with one head for \`average\`, got ${sources.map(({ entry }) => `${entry.name} (${entry.definition.type})`).join(', ')}.`,
    )
  const configs = new Set(sources.map(({ entry }) => JSON.stringify(entry.config)))
  if (definition.sumConfig === undefined && configs.size > 1)
    throw new ConfigError(`Expected one config for \`average\` of ${definition.type}, got several. Train them alike.`)
  return first
}

/** Paths of all layers and parameters of an adapter. */
const pathsOf = ({ attachment, copies }: BankEntry): Set<string> =>
  new Set([...attachment.placements.map(({ path }) => path), ...copies.keys()])

/**
 * Sets an adapter to the weighted sum of others.
 * @throws ConfigError for adapters of different layers, ShapeError for different sizes
 */
export const sumInto = (entry: BankEntry, sources: readonly WeightedEntry[]): void => {
  const paths = pathsOf(entry)
  for (const { entry: source } of sources) {
    const own = pathsOf(source)
    const different = [...paths, ...own].find((path) => !paths.has(path) || !own.has(path))
    if (different !== undefined)
      throw new ConfigError(
        `Expected adapters of the same layers for \`average\`, but ${source.name} has ${own.has(different) ? 'one' : 'none'} at ${different}.`,
      )
  }
  noGrad(() => {
    for (const placement of entry.attachment.placements)
      placement.adapter.setToSum(
        sources.map(({ entry: { attachment }, weight }) => {
          const { adapter } = attachment.placements.find(({ path }) => path === placement.path)!
          return { adapter, weight }
        }),
      )
    const values = sources.map(({ tensors, weight }) => ({ values: tensors, weight }))
    for (const [path, copy] of entry.copies) copy.copy_(weightedSum(values, path))
  })
}
