// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture bert. */
export interface BertConfig {
  /** Entries of the vocabulary. Default: `30522`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number
  /** blocks. Default: `12`. */
  numLayers?: number
  /** Attention heads. Default: `12`. */
  numHeads?: number
  /** Width inside the feed-forward block. Default: `3072`. */
  intermediateSize?: number
  /** Of the feed-forward block. Default: `gelu`. */
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
  /** Longest input. Default: `512`. */
  maxPositions?: number
  /** segments. Default: `2`. */
  typeVocabSize?: number
  /** Added to variances. Default: `1e-12`. */
  normEps?: number
  /** Dropout after embeddings and blocks. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number
  /** Standard deviation of fresh weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Output layer shares the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
