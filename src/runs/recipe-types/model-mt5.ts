// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture mt5. */
export interface Mt5Config {
  /** Vocabulary size. Default: `250112`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `512`. */
  hiddenSize?: number | undefined
  /** Size of a head. Default: `64`. */
  headDim?: number | undefined
  /** Width of the feed-forward block. Default: `1024`. */
  intermediateSize?: number | undefined
  /** Layers of the encoder. Default: `8`. */
  numLayers?: number | undefined
  /** Layers of the decoder (default: numLayers). */
  numDecoderLayers?: number | undefined
  /** Attention heads. Default: `6`. */
  numHeads?: number | undefined
  /** Buckets of the relative bias. Default: `32`. */
  relativeBuckets?: number | undefined
  /** Distance from which on all share the last bucket. Default: `128`. */
  relativeMaxDistance?: number | undefined
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
    | undefined
  /** Gated feed-forward blocks. Default: `true`. */
  gated?: boolean | undefined
  /** Dropout of embeddings, attention and feed-forward blocks. Default: `0.1`. */
  dropout?: number | undefined
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number | undefined
  /** Factor of the standard deviation of initial weights. Default: `1`. */
  initializerFactor?: number | undefined
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number | undefined
  /** Id of the first token of the decoder. Default: `0`. */
  decoderStartTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
}
