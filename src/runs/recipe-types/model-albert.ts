// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture albert. */
export interface AlbertConfig {
  /** Vocabulary size. Default: `30000`. */
  vocabSize?: number | undefined
  /** Width of the embedding tables. Default: `128`. */
  embeddingSize?: number | undefined
  /** Width of the residual stream. Default: `4096`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `12`. */
  numLayers?: number | undefined
  /** Distinct layers, each used for equally many layers in a row. Default: `1`. */
  layerGroups?: number | undefined
  /** Attention heads. Default: `64`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block. Default: `16384`. */
  intermediateSize?: number | undefined
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
  /** Maximum input length in tokens. Default: `512`. */
  maxPositions?: number | undefined
  /** Number of segment ids. Default: `2`. */
  typeVocabSize?: number | undefined
  /** Epsilon of the norms. Default: `1e-12`. */
  normEps?: number | undefined
  /** Dropout after embeddings and layers. Default: `0`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Dropout before the output layer of classifiers. Default: `0.1`. */
  classifierDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
