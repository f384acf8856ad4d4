// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mbart. */
export interface MbartConfig {
  /** Vocabulary size. Default: `50265`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `1024`. */
  hiddenSize?: number
  /** Layers of the encoder. Default: `12`. */
  numLayers?: number
  /** Attention heads of the encoder. Default: `16`. */
  numHeads?: number
  /** Width of the feed-forward blocks of the encoder. Default: `4096`. */
  intermediateSize?: number
  /** Layers of the decoder (default: numLayers). */
  numDecoderLayers?: number
  /** Attention heads of the decoder (default: numHeads). */
  numDecoderHeads?: number
  /** Width of the feed-forward blocks of the decoder (default: intermediateSize). */
  decoderIntermediateSize?: number
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
  /** Maximum input length in tokens. Default: `1024`. */
  maxPositions?: number
  /** Multiply the token embeddings by the root of the hidden size. Default: `false`. */
  scaleEmbeddings?: boolean
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Dropout inside feed-forward blocks. Default: `0`. */
  activationDropout?: number
  /** Dropout of classifiers. Default: `0`. */
  classifierDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `1`. */
  padTokenId?: number
  /** Id of the end of a text. Default: `2`. */
  eosTokenId?: number
  /** Id of the first token of the decoder. Default: `2`. */
  decoderStartTokenId?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
