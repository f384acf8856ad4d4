// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture distilbert. */
export interface DistilbertConfig {
  /** Vocabulary size. Default: `30522`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number
  /** Number of layers. Default: `6`. */
  numLayers?: number
  /** Attention heads. Default: `12`. */
  numHeads?: number
  /** Width of the feed-forward block. Default: `3072`. */
  intermediateSize?: number
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
  /** Maximum input length in tokens. Default: `512`. */
  maxPositions?: number
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number
  /** Dropout before the output layer of classifiers. Default: `0.2`. */
  classifierDropout?: number
  /** Dropout before the output layer of answers. Default: `0.1`. */
  answerDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
