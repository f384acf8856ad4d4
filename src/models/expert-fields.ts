// Settings and checkpoint keys that mixtures of experts share.
import { z } from 'zod'
import type { KeyRule } from '../nn/index.ts'
import { sizes } from './config-fields.ts'

/** Limits far above published models, as those of `sizes`. */
const experts = z.int().positive().max(4096)

/** Settings of mixtures of experts. */
export const expertSettings = {
  numExperts: experts.describe('experts of each mixture'),
  expertsPerToken: experts.describe('experts that each token is sent to'),
  outputRouterLogits: z
    .boolean()
    .default(false)
    .describe('add the loss that balances the experts, in training of a language model'),
  routerLossFactor: z.number().nonnegative().default(0.001).describe('factor of that loss'),
}

/** Width of an expert. */
export const expertSize = sizes.intermediateSize.describe('width of each expert')

/** Names in config.json of the settings that mixtures share. */
export const expertFields = {
  numExperts: 'num_local_experts',
  expertsPerToken: 'num_experts_per_tok',
  outputRouterLogits: 'output_router_logits',
  routerLossFactor: 'router_aux_loss_coef',
} as const

/** The factor where training adds the loss. */
export const routerLoss = ({
  outputRouterLogits,
  routerLossFactor,
}: {
  outputRouterLogits: boolean
  routerLossFactor: number
}): { routerLossFactor: number | undefined } => ({
  routerLossFactor: outputRouterLogits && routerLossFactor > 0 ? routerLossFactor : undefined,
})

/** Names of an expert's three matrices in files. */
export interface ExpertNames {
  gate: string
  up: string
  down: string
}

/**
 * Keys of the mixture of a layer: files have each expert's matrices, as transformers writes them, or those of all experts in
 * one tensor, as transformers holds them in memory; the latter are read only.
 * @param block name of the mixture in files
 */
export const expertKeys = (count: number, block: string, { gate, up, down }: ExpertNames): KeyRule[] => {
  const ours = (expert: number, name: string) => `layers.{i}.mlp.experts.${expert}.${name}`
  const numbers = Array.from({ length: count }, (_, expert) => expert)
  const names = { gateProj: gate, upProj: up, downProj: down }
  const weights = (parts: readonly string[]) =>
    numbers.flatMap((expert) => parts.map((name) => `${ours(expert, name)}.weight`))
  const stacked = (parts: readonly string[], theirs: string): KeyRule => ({
    ours: weights(parts),
    theirs: `layers.{i}.mlp.experts.${theirs}`,
    exact: true,
    stacked: true,
  })
  return [
    { ours: 'layers.{i}.mlp.router', theirs: `layers.{i}.${block}.gate`, alsoReads: ['layers.{i}.mlp.gate'] },
    ...numbers.flatMap((expert) =>
      Object.entries(names).map(([name, theirs]) => ({
        ours: ours(expert, name),
        theirs: `layers.{i}.${block}.experts.${expert}.${theirs}`,
      })),
    ),
    stacked(['gateProj', 'upProj'], 'gate_up_proj'),
    stacked(['downProj'], 'down_proj'),
  ]
}
