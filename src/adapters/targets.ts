// Finds layers of a body by the one vocabulary that all architectures share. Knows no architecture.
import { z } from 'zod'
import { ConfigError, didYouMean } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { Linear } from '../nn/index.ts'

export const linearNames = ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'] as const
export type LinearName = (typeof linearNames)[number]

export const targetsSchema = z.union([z.literal('all-linear'), z.array(z.enum(linearNames)).min(1)])
export type Targets = z.output<typeof targetsSchema>

export interface LinearAt {
  path: string
  name: LinearName
  layer: Linear
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('.') + 1)

/** Every linear layer of the body's blocks. */
export const blockLinears = (model: Model): LinearAt[] =>
  [...model.body.modules('body')].flatMap(([path, module]) => {
    const name = linearNames.find((known) => known === nameOf(path))
    return module instanceof Linear && name !== undefined ? [{ path, name, layer: module }] : []
  })

/** @throws ConfigError for a name that no layer of the model has */
export const findTargets = (model: Model, targets: Targets, where: string): LinearAt[] => {
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

/** Layers that are one matrix in the files of transformers, by path: the paths that share it, in its order. */
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
