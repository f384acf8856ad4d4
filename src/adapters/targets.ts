// Finds linear layers of a body by the names that all architectures share. Independent of architectures.
import { z } from 'zod'
import { ConfigError, didYouMean, show } from '../core/index.ts'
import { LanguageHead, type Model } from '../models/index.ts'
import { Linear, type Module } from '../nn/index.ts'

// A tied output matrix: it is the token embedding of the body and no parameter of its own, and yet an adapter may have
// its own copy of it, which is used in the head alone.

/** Path of the output matrix. */
export const TIED_PATH = 'head.lmHead.weight'
/** Path of the token embedding. */
export const TABLE_PATH = 'body.embedTokens.weight'

/** The output layer, if its matrix is tied to the token embedding. */
export const tiedLayer = ({ head, body }: Model): Linear | undefined =>
  (head as Module) instanceof LanguageHead &&
  // A matrix of blocks is no parameter, and reading it would dequantise it.
  body.embedTokens.blocks === undefined &&
  (head as LanguageHead).lmHead.weight === body.embedTokens.weight
    ? (head as LanguageHead).lmHead
    : undefined

/** Names of the linear layers of a block. */
export const linearNames = ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'] as const
type LinearName = (typeof linearNames)[number]

/** Layers to adapt: names, or patterns of paths. */
export const targetsSchema = z.union([
  z.literal('all-linear'),
  z
    .string()
    .min(1)
    // As flags give them: commas in braces belong to a pattern.
    .transform((targets) => targets.split(/,(?![^{]*\})/)),
  z.array(z.string().min(1)).min(1),
])
/** The setting of methods that adapt all linear layers by default. */
export const targetsField = targetsSchema
  .default('all-linear')
  .describe('layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*')
export type Targets = z.output<typeof targetsSchema>

/** A linear layer of a block, the output layer, or another one that a method adapts. */
export interface TargetLayer<Layer extends Module = Linear> {
  path: string
  /** Its name among the layers of a block; undefined for other layers. */
  name?: LinearName
  layer: Layer
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('.') + 1)

/** All linear layers of the body's blocks. */
export const blockLinears = (model: Model): TargetLayer[] =>
  [...model.body.modules('body')].flatMap(([path, module]) => {
    const name = linearNames.find((known) => known === nameOf(path))
    return module instanceof Linear && name !== undefined ? [{ path, name, layer: module }] : []
  })

/**
 * The layers to adapt: all of the blocks, or those that are named, also among `others`.
 * @throws ConfigError for a name or pattern that matches no layer of the model
 */
export const findTargets = <Other extends Module = Linear>(
  model: Model,
  targets: Targets,
  where: string,
  others: readonly TargetLayer<Other>[] = [],
): TargetLayer<Linear | Other>[] => {
  const blocks = blockLinears(model)
  if (targets === 'all-linear') return blocks
  const all: TargetLayer<Linear | Other>[] = [...blocks, ...others]
  const patterns = targets.map((target) => ({ target, matches: layerPattern(target) }))
  const absent = patterns.find(({ matches }) => !all.some(({ path }) => matches(path)))
  if (absent !== undefined) {
    const present = [...new Set(all.map(({ path }) => nameOf(path)))]
    throw new ConfigError(
      `Expected layers that ${model.definition.type} has (${present.join(', ')}, or paths such as ${all[0]?.path}) for \`${where}\`, got ${absent.target}.${didYouMean(absent.target, present)}`,
    )
  }
  return all.filter(({ path }) => patterns.some(({ matches }) => matches(path)))
}

/** Layers that are fused into one matrix in files of transformers: by path, all paths of the matrix in order. */
export const fusedGroups = (model: Model): Map<string, readonly string[]> => {
  const { definition, config } = model
  const groups = new Map<string, readonly string[]>()
  for (const { ours, stacked = false } of definition.hfKeys(config))
    if (typeof ours !== 'string' && !stacked)
      for (let i = 0; i < definition.facts(config).numLayers; i++) {
        const paths = ours.map((path) => `body.${path.replaceAll('{i}', String(i))}`)
        for (const path of paths) groups.set(path, paths)
      }
  return groups
}

/** The output layer of a language model, whose matrix may be that of the token embeddings. */
export const outputLayers = ({ head }: Model): TargetLayer[] =>
  // The type of a model names no head: the check does.
  (head as Module) instanceof LanguageHead
    ? [{ path: TIED_PATH.replace(/\.weight$/, ''), layer: (head as unknown as LanguageHead).lmHead }]
    : []

const literal = (text: string): string => text.replace(/[.+?^$()|[\]\\]/g, '\\$&')

const alternatives = (listed: string, pattern: string): string =>
  `(?:${listed
    .split(',')
    .flatMap((one) => {
      const range = /^(\d+)-(\d+)$/.exec(one)
      if (range === null) return [literal(one)]
      const [from, to] = [Number(range[1]), Number(range[2])]
      if (from > to || to - from > 10_000)
        throw new ConfigError(`Expected a range from a smaller to a larger number, got ${show(pattern)}.`)
      return Array.from({ length: to - from + 1 }, (_, i) => String(from + i))
    })
    .join('|')})`

/**
 * Whether a path ends with what a pattern names, from the beginning of one of its parts: `qProj`, `layers.{0-5}.*`.
 * @throws ConfigError for a pattern of another form
 */
export const layerPattern = (pattern: string): ((path: string) => boolean) => {
  if (!/^(?:[\w.*-]|\{[\w,-]+\})+$/.test(pattern))
    throw new ConfigError(
      `Expected a layer as its name, or a path with \`*\`, \`{a,b}\` or \`{0-5}\`, such as layers.{0-5}.*Proj, got ${show(pattern)}.`,
    )
  const parts = pattern.split(/(\*+|\{[^}]*\})/).map((part) => {
    if (part.startsWith('*')) return '.*'
    return part.startsWith('{') ? alternatives(part.slice(1, -1), pattern) : literal(part)
  })
  const expression = new RegExp(`(?:^|\\.)${parts.join('')}$`)
  return (path) => expression.test(path)
}

/** The value of the first pattern that matches a path. */
export const patternValue = (patterns: Readonly<Record<string, number>>, path: string): number | undefined =>
  Object.entries(patterns).find(([pattern]) => layerPattern(pattern)(path))?.[1]
