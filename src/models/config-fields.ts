// Settings that most architectures share, and those of mixtures of experts with their checkpoint keys.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { type ActivationName, activationNames, type KeyRule } from '../nn/index.ts'

/** The limits are far above any published model: a damaged config.json must not make us allocate absurd sizes. */
const size = (max: number) => z.int().positive().max(max)
const share = () => z.number().min(0).max(1)

export const sizes = {
  vocabSize: size(2 ** 24).describe('vocabulary size'),
  hiddenSize: size(2 ** 18).describe('width of the residual stream'),
  numLayers: size(4096).describe('number of layers'),
  numHeads: size(2 ** 14).describe('attention heads'),
  intermediateSize: size(2 ** 22).describe('width of the feed-forward block'),
  maxPositions: size(2 ** 30).describe('maximum input length in tokens'),
  typeVocabSize: z
    .int()
    .nonnegative()
    .max(2 ** 16)
    .describe('number of segment ids'),
}

/** Settings with the dropout of a body: of embeddings, hidden states, feed-forward blocks and attention weights. */
const bodyDropouts = ['dropout', 'embeddingDropout', 'hiddenDropout', 'mlpDropout', 'attentionDropout'] as const

/** The dropout settings that the config of an architecture has, all with one share. @throws ConfigError where it has none */
export const dropoutSettings = (config: object, share: number): { [name: string]: number } => {
  const names = bodyDropouts.filter((name) => name in config)
  if (names.length === 0)
    throw new ConfigError(
      `\`dropout\` has no effect on this architecture, which has no dropout, got ${share}. Remove it.`,
    )
  return Object.fromEntries(names.map((name) => [name, share]))
}

export const settings = {
  activation: z
    .enum(activationNames as [ActivationName, ...ActivationName[]])
    .describe('activation function of the feed-forward block'),
  normEps: z.number().positive().describe('epsilon of the norms'),
  hiddenDropout: share().describe('dropout after embeddings and layers').default(0.1),
  attentionDropout: share().describe('dropout of attention weights'),
  initializerRange: z.number().positive().default(0.02).describe('standard deviation of initial weights'),
  padTokenId: z.int().nonnegative().describe('id of the padding token'),
  tiedEmbeddings: z.boolean().describe('tie the output layer to the token embedding'),
}

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
interface ExpertNames {
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
