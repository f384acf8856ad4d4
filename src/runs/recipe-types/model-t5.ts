// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture t5. */
export interface T5Config {
  /** Vocabulary size. Default: `32128`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `512`. */
  hiddenSize?: number | undefined
  /** Size of a head. Default: `64`. */
  headDim?: number | undefined
  /** Width of the feed-forward block. Default: `2048`. */
  intermediateSize?: number | undefined
  /** Layers of the encoder. Default: `6`. */
  numLayers?: number | undefined
  /** Layers of the decoder (default: numLayers). */
  numDecoderLayers?: number | undefined
  /** Attention heads. Default: `8`. */
  numHeads?: number | undefined
  /** Buckets of the relative bias. Default: `32`. */
  relativeBuckets?: number | undefined
  /** Distance from which on all share the last bucket. Default: `128`. */
  relativeMaxDistance?: number | undefined
  /** Activation function of the feed-forward block. Default: `relu`. */
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
  /** Gated feed-forward blocks, as in v1.1 and flan. Default: `false`. */
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
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
  /** Divide by the root of the hidden size before the output layer (default: tiedEmbeddings). */
  scaleOutputs?: boolean | undefined
}
