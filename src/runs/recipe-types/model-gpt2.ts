// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture gpt2. */
export interface Gpt2Config {
  /** Vocabulary size. Default: `50257`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `12`. */
  numLayers?: number | undefined
  /** Attention heads. Default: `12`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block (default: 4 x hiddenSize). */
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
  /** Maximum input length in tokens. Default: `1024`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number | undefined
  /** Dropout after the embeddings. Default: `0.1`. */
  embeddingDropout?: number | undefined
  /** Dropout after attention and feed-forward block. Default: `0.1`. */
  hiddenDropout?: number | undefined
  /** Dropout of attention weights. Default: `0.1`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Divide attention scores by the root of the head size. Default: `true`. */
  scaleAttention?: boolean | undefined
  /** Divide attention scores by the number of the layer too. Default: `false`. */
  scaleAttentionByLayer?: boolean | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
