// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture gpt2. */
export interface Gpt2Config {
  /** Entries of the vocabulary. Default: `50257`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number
  /** blocks. Default: `12`. */
  numLayers?: number
  /** Attention heads. Default: `12`. */
  numHeads?: number
  /** Width of the feed-forward block; 4 x hiddenSize unless given. */
  intermediateSize?: number
  /** Of the feed-forward block. Default: `gelu_new`. */
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
  /** Longest input. Default: `1024`. */
  maxPositions?: number
  /** Added to variances. Default: `0.00001`. */
  normEps?: number
  /** Dropout after the embeddings. Default: `0.1`. */
  embeddingDropout?: number
  /** Dropout after each block. Default: `0.1`. */
  hiddenDropout?: number
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number
  /** Standard deviation of fresh weights. Default: `0.02`. */
  initializerRange?: number
  /** Divide scores by the root of the head size. Default: `true`. */
  scaleAttention?: boolean
  /** Divide scores by the number of the layer too. Default: `false`. */
  scaleAttentionByLayer?: boolean
  /** Output layer shares the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
