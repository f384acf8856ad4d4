// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture electra. */
export interface ElectraConfig {
  /** Vocabulary size. Default: `30522`. */
  vocabSize?: number | undefined
  /** Width of the embedding tables. Default: `128`. */
  embeddingSize?: number | undefined
  /** Width of the residual stream. Default: `256`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `12`. */
  numLayers?: number | undefined
  /** Attention heads. Default: `4`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block. Default: `1024`. */
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
  /** Number of segment ids. Default: `2`. */
  typeVocabSize?: number | undefined
  /** Epsilon of the norms. Default: `1e-12`. */
  normEps?: number | undefined
  /** Dropout after embeddings and layers. Default: `0.1`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number | undefined
  /** Dropout before the output layer of multiple choice. Default: `0.1`. */
  summaryDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `0`. */
  padTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
