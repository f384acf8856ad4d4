// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture electra. */
export interface ElectraConfig {
  /** Vocabulary size. Default: `30522`. */
  vocabSize?: number
  /** Width of the embedding tables. Default: `128`. */
  embeddingSize?: number
  /** Width of the residual stream. Default: `256`. */
  hiddenSize?: number
  /** Number of layers. Default: `12`. */
  numLayers?: number
  /** Attention heads. Default: `4`. */
  numHeads?: number
  /** Width of the feed-forward block. Default: `1024`. */
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
  /** Number of segment ids. Default: `2`. */
  typeVocabSize?: number
  /** Epsilon of the norms. Default: `1e-12`. */
  normEps?: number
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number
  /** Dropout before the output layer of multiple choice. Default: `0.1`. */
  summaryDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
