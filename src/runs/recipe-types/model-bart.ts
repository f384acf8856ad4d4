// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture bart. */
export interface BartConfig {
  /** Vocabulary size. Default: `50265`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `1024`. */
  hiddenSize?: number | undefined
  /** Layers of the encoder. Default: `12`. */
  numLayers?: number | undefined
  /** Attention heads of the encoder. Default: `16`. */
  numHeads?: number | undefined
  /** Width of the feed-forward blocks of the encoder. Default: `4096`. */
  intermediateSize?: number | undefined
  /** Layers of the decoder (default: numLayers). */
  numDecoderLayers?: number | undefined
  /** Attention heads of the decoder (default: numHeads). */
  numDecoderHeads?: number | undefined
  /** Width of the feed-forward blocks of the decoder (default: intermediateSize). */
  decoderIntermediateSize?: number | undefined
  /** Activation function of the feed-forward block. Default: `gelu`. */
  activation?:
    | 'gelu'
    | 'gelu_new'
    | 'gelu_pytorch_tanh'
    | 'gelu_fast'
    | 'quick_gelu'
    | 'relu'
    | 'silu'
    | 'swish'
    | 'tanh'
    | 'sigmoid'
    | undefined
  /** Maximum input length in tokens. Default: `1024`. */
  maxPositions?: number | undefined
  /** Multiply the token embeddings by the root of the hidden size. Default: `false`. */
  scaleEmbeddings?: boolean | undefined
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Dropout inside feed-forward blocks. Default: `0`. */
  activationDropout?: number | undefined
  /** Dropout of classifiers. Default: `0`. */
  classifierDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `1`. */
  padTokenId?: number | undefined
  /** Id of the end of a text. Default: `2`. */
  eosTokenId?: number | undefined
  /** Id of the first token of the decoder. Default: `2`. */
  decoderStartTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
