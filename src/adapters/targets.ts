// Finds linear layers of a body by the names that all architectures share. Independent of architectures.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { Linear } from '../nn/index.ts'

/** Names of the linear layers of a block. */
export const linearNames = ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'] as const
export type LinearName = (typeof linearNames)[number]

/** Layers to adapt. */
export const targetsSchema = z.union([z.literal('all-linear'), z.array(z.enum(linearNames)).min(1)])
export type Targets = z.output<typeof targetsSchema>

/** A linear layer of a block. */
export interface TargetLayer {
  path: string
  name: LinearName
  layer: Linear
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('.') + 1)

/** All linear layers of the body's blocks. */
export const blockLinears = (model: Model): TargetLayer[] =>
  [...model.body.modules('body')].flatMap(([path, module]) => {
    const name = linearNames.find((known) => known === nameOf(path))
    return module instanceof Linear && name !== undefined ? [{ path, name, layer: module }] : []
  })

/** The layers to adapt. @throws ConfigError for a name that no layer of the model has */
export const findTargets = (model: Model, targets: Targets, where: string): TargetLayer[] => {
  const all = blockLinears(model)
  if (targets === 'all-linear') return all
  const present = [...new Set(all.map(({ name }) => name))]
  const absent = targets.filter((name) => !present.includes(name))
  if (absent.length > 0)
    throw new ConfigError(
      `Expected layers that ${model.definition.type} has (${present.join(', ')}) for \`${where}\`, got ${absent.join(', ')}.${didYouMean(absent[0], present)}`,
    )
  return all.filter(({ name }) => targets.includes(name))
}

/** Layers that are fused into one matrix in files of transformers: by path, all paths of the matrix in order. */
export const fusedGroups = (model: Model): Map<string, readonly string[]> => {
  const { definition, config } = model
  const groups = new Map<string, readonly string[]>()
  for (const { ours } of definition.hfKeys(config))
    if (typeof ours !== 'string')
      for (let i = 0; i < definition.facts(config).numLayers; i++) {
        const paths = ours.map((path) => `body.${path.replaceAll('{i}', String(i))}`)
        for (const path of paths) groups.set(path, paths)
      }
  return groups
}
