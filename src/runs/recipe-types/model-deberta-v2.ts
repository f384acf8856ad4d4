// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture deberta-v2. */
export interface DebertaV2Config {
  /** Vocabulary size. Default: `128100`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number
  /** Number of layers. Default: `12`. */
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
  /** Number of segment ids. Default: `0`. */
  typeVocabSize?: number
  /** Epsilon of the norms. Default: `1e-7`. */
  normEps?: number
  /** Attention by distance. Default: `true`. */
  relativeAttention?: boolean
  /** Largest distance (default: maxPositions). */
  maxRelativePositions?: number
  /** Buckets of distances in each direction; 0 for none. Default: `256`. */
  positionBuckets?: number
  /** Attention of content to distances. Default: `true`. */
  contentToPosition?: boolean
  /** Attention of distances to content. Default: `true`. */
  positionToContent?: boolean
  /** Project distances by the matrices of queries and keys. Default: `true`. */
  sharesProjections?: boolean
  /** Norm of the embeddings of distances. Default: `true`. */
  normedDistances?: boolean
  /** Learned positions in the input too. Default: `false`. */
  absolutePositions?: boolean
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number
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
  /** Names of the masked-token head as in BERT, not as in the published v3. Default: `true`. */
  bertLikeLm?: boolean
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
