// Prefix and prompt tuning in PEFT's files: one table, whose key has no prefix. For a prefix with a projection network,
// the computed prefix is stored, as in PEFT.
import { CheckpointError, show } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { Attention } from '../../nn/index.ts'
import { noGrad, type Tensor } from '../../tensor/index.ts'
import type { AttachContext, Attachment } from '../adapter.ts'
import type { FoundAdapter, PeftContents, PeftFile, PeftFormat } from '../peft/format.ts'
import { initialTokenIds } from './positions.ts'
import { attachPrefix, type PrefixBank } from './prefix-layer.ts'
import type { PrefixConfig } from './prefix-tuning.ts'
import { attachPrompt, type PromptBank } from './prompt-layer.ts'
import type { PromptConfig } from './prompt-tuning.ts'

const key = 'prompt_embeddings'

const commonFields = [
  'num_virtual_tokens',
  'token_dim',
  'num_attention_heads',
  'num_layers',
  'num_transformer_submodules',
  'encoder_hidden_size',
]

/** Number of virtual tokens in a file. @param stacks allowed values of `num_transformer_submodules` */
const lengthOf = (file: PeftFile, stacks: readonly number[]): number => {
  const { num_virtual_tokens: length } = file.fields
  if (typeof length !== 'number' || !Number.isInteger(length) || length < 1 || length > 4096)
    throw new CheckpointError(`${file.path}: Expected 1 to 4096 for \`num_virtual_tokens\`, got ${show(length)}.`)
  if (!stacks.includes(stacksOf(file)))
    throw new CheckpointError(
      `${file.path}: Expected ${stacks.join(' or ')} for \`num_transformer_submodules\` with this base, got ${show(stacksOf(file))}.`,
    )
  return length
}

const stacksOf = ({ fields }: PeftFile): number => (fields.num_transformer_submodules ?? 1) as number
const isPair = ({ facts }: Model): boolean => facts.decoderStartTokenId !== undefined

const write = (model: Model, table: Tensor, width: number, more: Record<string, unknown>): PeftContents => {
  const { numLayers } = model.facts
  const fields = {
    num_virtual_tokens: table.shape[0],
    token_dim: width,
    num_layers: numLayers,
    num_transformer_submodules: 1,
    ...more,
  }
  return { fields, tensors: new Map([[key, table]]), bare: new Set([key]) }
}

/** @param scale what the values of the file are divided by */
const found = <Config>(
  file: PeftFile,
  config: Config,
  [rows, columns]: [number, number | undefined],
  plan: (context: AttachContext) => Attachment,
  scale = 1,
): FoundAdapter<Config> => {
  const values = file.take(key, [rows, columns])
  return {
    config,
    plan,
    fill: ({ placements: [{ adapter }] }) => {
      const { embedding } = adapter as PrefixBank | PromptBank
      if (values !== undefined) noGrad(() => embedding.copy_(values.narrow(0, 0, embedding.shape[0]).div(scale)))
    },
  }
}

const kvWidth = (model: Model): number | undefined => {
  for (const [, module] of model.body.modules()) if (module instanceof Attention) return module.kProj.shape[0]
  return undefined
}

/** Prefix tuning in PEFT's files. */
export const prefixFiles: PeftFormat<PrefixConfig> = {
  type: 'PREFIX_TUNING',
  prefix: 'base_model.',
  fields: [...commonFields, 'prefix_projection', 'init_weights'],
  write: (model, _, { placements: [{ adapter }] }) => {
    const bank = adapter as PrefixBank
    return write(model, bank.whole(), bank.shape.width, {
      num_attention_heads: headsOf(model),
      num_transformer_submodules: isPair(model) ? 2 : 1,
      encoder_hidden_size: bank.shape.width,
      prefix_projection: false,
    })
  },
  read: (file, model) => {
    const virtualTokens = lengthOf(file, [isPair(model) ? 2 : 1])
    const config: PrefixConfig = { type: 'prefix-tuning', virtualTokens }
    const width = kvWidth(model)
    const columns = width === undefined ? undefined : 2 * model.facts.numLayers * width
    return found(file, config, [virtualTokens, columns], ({ generator }) => attachPrefix(model, config, generator))
  },
}

/** Number of key/value heads. */
const headsOf = (model: Model): number => {
  const { numKvHeads, numHeads } = model.config as { numKvHeads?: number; numHeads: number }
  return numKvHeads ?? numHeads
}

/** Factor of the token embeddings (Gemma, mBART): PEFT's vectors join them after it, ours before it. */
const scaleOf = ({ body }: Model): number => (body as { embeddingScale?: number }).embeddingScale ?? 1

/** Prompt tuning in PEFT's files. */
export const promptFiles: PeftFormat<PromptConfig> = {
  type: 'PROMPT_TUNING',
  prefix: 'base_model.',
  fields: [
    ...commonFields,
    'prompt_tuning_init',
    'prompt_tuning_init_text',
    'tokenizer_name_or_path',
    'tokenizer_kwargs',
  ],
  write: (model, _, { placements: [{ adapter }] }) => {
    const { embedding } = adapter as PromptBank
    const { numHeads } = model.config as { numHeads: number }
    return write(model, embedding.mul(scaleOf(model)), embedding.shape[1], {
      num_attention_heads: numHeads,
      prompt_tuning_init: 'RANDOM',
    })
  },
  read: (file, model) => {
    // For an encoder-decoder PEFT also initialises vectors for the decoder, and never uses them.
    const virtualTokens = lengthOf(file, isPair(model) ? [1, 2] : [1])
    const config: PromptConfig = { type: 'prompt-tuning', virtualTokens }
    const size: [number, number] = [virtualTokens * stacksOf(file), model.body.embedTokens.shape[1]]
    const plan = (context: AttachContext) =>
      attachPrompt(model, initialTokenIds(model, virtualTokens, undefined, context))
    return found(file, config, size, plan, scaleOf(model))
  },
}
