// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture deberta-v2. */
export interface DebertaV2Config {
  /** Vocabulary size. Default: `128100`. */
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
  /** Maximum input length in tokens. Default: `512`. */
  maxPositions?: number | undefined
  /** Number of segment ids. Default: `0`. */
  typeVocabSize?: number | undefined
  /** Epsilon of the norms. Default: `1e-7`. */
  normEps?: number | undefined
  /** Attention by distance. Default: `true`. */
  relativeAttention?: boolean | undefined
  /** Largest distance (default: maxPositions). */
  maxRelativePositions?: number | undefined
  /** Buckets of distances in each direction; 0 for none. Default: `256`. */
  positionBuckets?: number | undefined
  /** Attention of content to distances. Default: `true`. */
  contentToPosition?: boolean | undefined
  /** Attention of distances to content. Default: `true`. */
  positionToContent?: boolean | undefined
  /** Project distances by the matrices of queries and keys. Default: `true`. */
  sharesProjections?: boolean | undefined
  /** Norm of the embeddings of distances. Default: `true`. */
  normedDistances?: boolean | undefined
  /** Learned positions in the input too. Default: `false`. */
  absolutePositions?: boolean | undefined
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number | undefined
  /** Activation function of the pooler of classifiers. Default: `gelu`. */
  poolerActivation?:
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
  /** Names of the masked-token head as in BERT, not as in the published v3. Default: `true`. */
  bertLikeLm?: boolean | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
