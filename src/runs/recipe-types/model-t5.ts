// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture t5. */
export interface T5Config {
  /** Entries of the vocabulary. Default: `32128`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `512`. */
  hiddenSize?: number
  /** Size of a head. Default: `64`. */
  headDim?: number
  /** Width inside the feed-forward block. Default: `2048`. */
  intermediateSize?: number
  /** Blocks of the encoder. Default: `6`. */
  numLayers?: number
  /** Blocks of the decoder; numLayers unless given. */
  numDecoderLayers?: number
  /** Attention heads. Default: `8`. */
  numHeads?: number
  /** Buckets of distances. Default: `32`. */
  relativeBuckets?: number
  /** Distances from here on share the last bucket. Default: `128`. */
  relativeMaxDistance?: number
  /** Of the feed-forward block. Default: `relu`. */
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
  /** Gated feed-forward blocks, as v1.1 and flan have. Default: `false`. */
  gated?: boolean
  /** Dropout everywhere. Default: `0.1`. */
  dropout?: number
  /** Added to variances. Default: `0.000001`. */
  normEps?: number
  /** Scales fresh weights. Default: `1`. */
  initializerFactor?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Id that decoding starts from. Default: `0`. */
  decoderStartTokenId?: number
  /** Output layer shares the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
  /** Divide by the root of the hidden size before scoring; as tiedEmbeddings unless given. */
  scaleOutputs?: boolean
}
