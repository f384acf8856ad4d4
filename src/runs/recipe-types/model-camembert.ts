// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture camembert. */
export interface CamembertConfig {
  /** Vocabulary size. Default: `32005`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `12`. */
  numLayers?: number | undefined
  /** Attention heads. Default: `12`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block. Default: `3072`. */
  intermediateSize?: number | undefined
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
  /** Rows of the position table: maximum input length + 2. Default: `514`. */
  maxPositions?: number | undefined
  /** Number of segment ids. Default: `1`. */
  typeVocabSize?: number | undefined
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number | undefined
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `1`. */
  padTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
