// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mt5. */
export interface Mt5Config {
  /** Vocabulary size. Default: `250112`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `512`. */
  hiddenSize?: number
  /** Size of a head. Default: `64`. */
  headDim?: number
  /** Width of the feed-forward block. Default: `1024`. */
  intermediateSize?: number
  /** Layers of the encoder. Default: `8`. */
  numLayers?: number
  /** Layers of the decoder (default: numLayers). */
  numDecoderLayers?: number
  /** Attention heads. Default: `6`. */
  numHeads?: number
  /** Buckets of the relative bias. Default: `32`. */
  relativeBuckets?: number
  /** Distance from which on all share the last bucket. Default: `128`. */
  relativeMaxDistance?: number
  /** Activation function of the feed-forward block. Default: `gelu_new`. */
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
  /** Gated feed-forward blocks. Default: `true`. */
  gated?: boolean
  /** Dropout of embeddings, attention and feed-forward blocks. Default: `0.1`. */
  dropout?: number
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number
  /** Factor of the standard deviation of initial weights. Default: `1`. */
  initializerFactor?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Id of the first token of the decoder. Default: `0`. */
  decoderStartTokenId?: number
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
}
