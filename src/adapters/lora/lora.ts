// LoRA and its variants rsLoRA, DoRA and LoRA+: a trained low-rank change of frozen linear layers. @source
// arXiv:2106.09685
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { Embedding, type Linear } from '../../nn/index.ts'
import { defineAdapter } from '../adapter.ts'
import { findTargets, layerPattern, outputLayers, patternValue, type TargetLayer } from '../targets.ts'
import { attachLora, type LoraTarget } from './attach.ts'
import { type LoraConfig, loraSchema, plainConfig } from './config.ts'
import { attachEmbedding, EMBEDDING_PATH, tokenEmbeddings } from './embedding.ts'
import { initializationOf } from './initialize.ts'
import type { LoraShape } from './layer.ts'
import { loraFiles } from './peft-files.ts'
import { attachTokenRows, tokenIds } from './token-rows.ts'

/** The layers to adapt with their shapes. @throws ConfigError for patterns that match none of them, and settings without effect */
const shapedTargets = (
  model: Model,
  config: LoraConfig,
): { linears: LoraTarget[]; embeddings: (TargetLayer<Embedding> & { shape: LoraShape })[] } => {
  const { rank, alpha, rsLora, dora, dropout, rankPattern, alphaPattern, init, initIterations } = config
  if (initIterations !== undefined && initializationOf(init)?.takesIterations !== true)
    throw new ConfigError(`\`adapter.initIterations\` needs \`adapter.init\` pissa, got ${init}. Remove it.`)
  if (dora && initializationOf(init) !== undefined)
    throw new ConfigError(
      `Expected \`adapter.dora\` or \`adapter.init\` ${init}, got both: norms of rows cannot be converted to the original base. Remove one.`,
    )
  const outputs = outputLayers(model)
  const targets = findTargets<Linear | Embedding>(model, config.targets, 'adapter.targets', [
    ...outputs,
    ...tokenEmbeddings(model),
  ])
  const isEmbedding = ({ path }: { path: string }) => path === EMBEDDING_PATH
  if (targets.some(isEmbedding)) expectEmbedding(config, targets.every(isEmbedding))
  const isOutput = ({ path }: { path: string }) => outputs.some((output) => output.path === path)
  if (config.tokens.length > 0 && targets.some(isOutput))
    throw new ConfigError(
      'Expected `adapter.tokens` or lmHead in `adapter.targets`, got both, which train the same matrix. Remove one.',
    )
  if (dropout > 0 && targets.some(isOutput))
    throw new ConfigError(
      '`adapter.dropout` has no effect on the output layer, whose logits are computed from its whole matrix: set it to 0, or leave lmHead out of `adapter.targets`.',
    )
  for (const [field, patterns] of Object.entries({ rankPattern, alphaPattern }))
    for (const pattern of Object.keys(patterns))
      if (!targets.some(({ path }) => layerPattern(pattern)(path)))
        throw new ConfigError(
          `Expected patterns of adapted layers, such as ${targets[0].path}, for \`adapter.${field}\`, got ${pattern}.`,
        )
  const shaped = targets.map((target) => ({
    ...target,
    shape: {
      rank: patternValue(rankPattern, target.path) ?? rank,
      alpha: patternValue(alphaPattern, target.path) ?? alpha,
      rsLora,
      dora,
      dropout,
    },
  }))
  return {
    linears: shaped.flatMap(({ layer, ...target }) => (layer instanceof Embedding ? [] : [{ ...target, layer }])),
    embeddings: shaped.flatMap(({ layer, ...target }) => (layer instanceof Embedding ? [{ ...target, layer }] : [])),
  }
}

/** @throws ConfigError for settings without effect on the token embeddings */
const expectEmbedding = ({ tokens, dropout, init }: LoraConfig, alone: boolean): void => {
  if (tokens.length > 0)
    throw new ConfigError(
      'Expected `adapter.tokens` or embedTokens in `adapter.targets`, got both, which train the same table. Remove one.',
    )
  if (dropout > 0)
    throw new ConfigError(
      '`adapter.dropout` has no effect on the token embeddings: set it to 0, or leave embedTokens out of `adapter.targets`.',
    )
  if (alone && initializationOf(init) !== undefined)
    throw new ConfigError(
      `\`adapter.init\` ${init} has no effect on the token embeddings alone: remove it, or add linear layers to \`adapter.targets\`.`,
    )
}

/** Ranks of a sum of adapters, whose matrices are side by side. */
const summedRanks = (configs: readonly LoraConfig[]): Record<string, number> => {
  const keys = new Set(configs.map(({ rankPattern }) => JSON.stringify(Object.keys(rankPattern))))
  if (keys.size > 1)
    throw new ConfigError('`average` needs adapters with the same patterns in `rankPattern`: train them alike.')
  return Object.fromEntries(
    Object.keys(configs[0].rankPattern).map((pattern) => [
      pattern,
      configs.reduce((sum, { rankPattern }) => sum + rankPattern[pattern], 0),
    ]),
  )
}

export const lora = defineAdapter({
  type: 'lora',
  source: 'arXiv:2106.09685',
  config: loraSchema,
  learningRate: 1e-3,
  family: 'lora',
  plan: (model, config, context) => {
    const { linears, embeddings } = shapedTargets(model, config)
    const { placements, ...attachment } = attachLora(model, linears, config, context)
    const tables = attachEmbedding(model, embeddings, context)
    const ids = tokenIds(config.tokens, context.encode, model.facts.vocabSize)
    return { ...attachment, placements: [...placements, ...tables, ...attachTokenRows(model, ids)] }
  },
  sumConfig: (given) => {
    const configs = given.map(plainConfig)
    const rank = configs.reduce((sum, config) => sum + config.rank, 0)
    const rankPattern = summedRanks(configs)
    // Alpha equal to the rank is a factor of 1: the factors of the parts are in the matrices.
    return { ...configs[0], rank, alpha: rank, rankPattern, alphaPattern: rankPattern, rsLora: false }
  },
  readsOriginals: ({ init }) => initializationOf(init)?.readsOriginals === true,
  savedConfig: plainConfig,
  peft: loraFiles,
})
