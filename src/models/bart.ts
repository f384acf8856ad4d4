// BART and mBART: an encoder and a decoder with learned positions. mBART has norms before attention and feed-forward block.
// @source arXiv:1910.13461, arXiv:2001.08210 (mBART), arXiv:2008.00401 (mBART-50)
import { z } from 'zod'
import { settings, sizes } from './config-fields.ts'
import { type DecoderShift, shiftAfterLast, shiftAfterStart } from './decoder-inputs.ts'
import { EncoderDecoderBody } from './encoder-decoder.ts'
import { embedding, type HeadEntries, questionAnswering, seq2seqLm, sequenceClassification } from './heads/index.ts'
import { type BuildOptions, defineModel } from './model.ts'

const none = settings.attentionDropout.default(0)
const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50265),
  hiddenSize: sizes.hiddenSize.default(1024),
  numLayers: sizes.numLayers.default(12).describe('layers of the encoder'),
  numHeads: sizes.numHeads.default(16).describe('attention heads of the encoder'),
  intermediateSize: sizes.intermediateSize.default(4096).describe('width of the feed-forward blocks of the encoder'),
  numDecoderLayers: sizes.numLayers.optional().describe('layers of the decoder (default: numLayers)'),
  numDecoderHeads: sizes.numHeads.optional().describe('attention heads of the decoder (default: numHeads)'),
  decoderIntermediateSize: sizes.intermediateSize
    .optional()
    .describe('width of the feed-forward blocks of the decoder (default: intermediateSize)'),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(1024),
  scaleEmbeddings: z.boolean().default(false).describe('multiply the token embeddings by the root of the hidden size'),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: none,
  activationDropout: none.describe('dropout inside feed-forward blocks'),
  classifierDropout: none.describe('dropout of classifiers'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(1),
  eosTokenId: settings.padTokenId.default(2).describe('id of the end of a text'),
  decoderStartTokenId: settings.padTokenId.default(2).describe('id of the first token of the decoder'),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type BartConfig = z.output<typeof schema>

/** Sizes of the decoder that are not set are those of the encoder. */
const complete = (config: BartConfig) => ({
  ...config,
  numDecoderLayers: config.numDecoderLayers ?? config.numLayers,
  numDecoderHeads: config.numDecoderHeads ?? config.numHeads,
  decoderIntermediateSize: config.decoderIntermediateSize ?? config.intermediateSize,
})

const stackKeys = (side: string, decoder: boolean) => {
  const layer = `${side}.layers.{i}`
  const projections = (ours: string, theirs: string) =>
    [
      ['q', 'q_proj'],
      ['k', 'k_proj'],
      ['v', 'v_proj'],
      ['o', 'out_proj'],
    ].map(([letter, name]) => ({ ours: `${layer}.${ours}.${letter}Proj`, theirs: `${layer}.${theirs}.${name}` }))
  return [
    { ours: `${side}.embedPositions`, theirs: `${side}.embed_positions` },
    { ours: `${side}.embeddingNorm`, theirs: `${side}.layernorm_embedding` },
    ...projections('attention', 'self_attn'),
    { ours: `${layer}.attentionNorm`, theirs: `${layer}.self_attn_layer_norm` },
    ...(decoder
      ? [
          ...projections('crossAttention', 'encoder_attn'),
          { ours: `${layer}.crossNorm`, theirs: `${layer}.encoder_attn_layer_norm` },
        ]
      : []),
    { ours: `${layer}.mlp.upProj`, theirs: `${layer}.fc1` },
    { ours: `${layer}.mlp.downProj`, theirs: `${layer}.fc2` },
    { ours: `${layer}.mlpNorm`, theirs: `${layer}.final_layer_norm` },
    { ours: `${side}.finalNorm`, theirs: `${side}.layer_norm` },
  ]
}

/** What the types share. @param normsBefore norms before attention and feed-forward block */
const stackOf = (normsBefore: boolean) =>
  ({
    config: schema,
    build: (config: BartConfig, options?: BuildOptions) =>
      new EncoderDecoderBody({ ...complete(config), normsBefore }, options),
    facts: (config: BartConfig) => ({
      ...config,
      numLayers: Math.max(config.numLayers, config.numDecoderLayers ?? 0),
      causal: false,
      packs: false,
    }),
    hfFields: {
      vocabSize: 'vocab_size',
      hiddenSize: 'd_model',
      numLayers: 'encoder_layers',
      numHeads: 'encoder_attention_heads',
      intermediateSize: 'encoder_ffn_dim',
      activation: 'activation_function',
      maxPositions: 'max_position_embeddings',
      scaleEmbeddings: 'scale_embedding',
      hiddenDropout: 'dropout',
      attentionDropout: 'attention_dropout',
      activationDropout: 'activation_dropout',
      classifierDropout: 'classifier_dropout',
      initializerRange: 'init_std',
      padTokenId: 'pad_token_id',
      eosTokenId: 'eos_token_id',
      decoderStartTokenId: 'decoder_start_token_id',
      tiedEmbeddings: 'tie_word_embeddings',
    },
    hfExtra: {
      read: (fields: Record<string, unknown>) => ({
        numDecoderLayers: fields.decoder_layers,
        numDecoderHeads: fields.decoder_attention_heads,
        decoderIntermediateSize: fields.decoder_ffn_dim,
      }),
      // Their defaults are not the sizes of the encoder.
      write: (config: BartConfig) => {
        const { numDecoderLayers, numDecoderHeads, decoderIntermediateSize } = complete(config)
        return {
          decoder_layers: numDecoderLayers,
          decoder_attention_heads: numDecoderHeads,
          decoder_ffn_dim: decoderIntermediateSize,
          is_encoder_decoder: true,
        }
      },
    },
    hfPrefix: 'model.',
    hfKeys: () => [
      { ours: 'embedTokens', theirs: 'shared' },
      ...stackKeys('encoder', false),
      ...stackKeys('decoder', true),
    ],
    // Numbers of versions in old checkpoints.
    hfIgnored: [/(^|\.)(encoder|decoder)\.version$/],
    hfCopies: { of: 'shared.weight', theirs: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] },
    // Where the embeddings are not tied, it has a table for each stack.
    needsCopies: ({ tiedEmbeddings }: BartConfig) => !tiedEmbeddings,
    hfZeros: [/^final_logits_bias$/],
  }) as const

/**
 * @param family first part of the class names
 * @param prepare derives the inputs of the decoder from those of the encoder
 * @param endTokenId the classifier reads the last token of this id (default: the last token)
 */
const headsOf = (
  family: string,
  { classifierDropout: dropout }: BartConfig,
  prepare: DecoderShift,
  endTokenId?: number,
): HeadEntries => ({
  'seq2seq-lm': seq2seqLm(`${family}ForConditionalGeneration`, 1),
  'sequence-classification': sequenceClassification(
    `${family}ForSequenceClassification`,
    {
      pooling: 'last',
      endTokenId,
      dense: { activation: 'tanh', name: 'classification_head.dense', dropoutBefore: true },
      dropout,
      output: 'classification_head.out_proj',
      bias: true,
    },
    { prepare },
  ),
  'question-answering': questionAnswering(`${family}ForQuestionAnswering`, { dropout: 0, prepare }),
  embedding: embedding(`${family}Model`, { prepare }),
})

const test = { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 64 }

export const bart = defineModel({
  ...stackOf(false),
  type: 'bart',
  source: 'arXiv:1910.13461',
  presets: {
    test,
    base: { hiddenSize: 768, numLayers: 6, numHeads: 12, intermediateSize: 3072 },
    large: {},
  },
  heads: (config) => headsOf('Bart', config, shiftAfterStart(config.decoderStartTokenId)),
})

export const mbart = defineModel({
  ...stackOf(true),
  type: 'mbart',
  source: 'arXiv:2001.08210',
  presets: {
    test,
    'large-cc25': { vocabSize: 250027, scaleEmbeddings: true },
    'large-50': { vocabSize: 250054, scaleEmbeddings: true },
  },
  // The code of the language comes after the end of the text.
  heads: (config) => headsOf('MBart', config, shiftAfterLast(config.padTokenId), config.eosTokenId),
})
