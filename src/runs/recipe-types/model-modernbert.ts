// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture modernbert. */
export interface ModernbertConfig {
  /** Vocabulary size. Default: `50368`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `22`. */
  numLayers?: number | undefined
  /** Attention heads. Default: `12`. */
  numHeads?: number | undefined
  /** Width of the feed-forward block. Default: `1152`. */
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
  /** Maximum input length in tokens. Default: `8192`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number | undefined
  /** Biases of the norms. Default: `false`. */
  normBias?: boolean | undefined
  /** Base of the rotary frequencies. Default: `160000`. */
  ropeTheta?: number | undefined
  /** Base of the rotary frequencies in sliding layers. Default: `10000`. */
  localRopeTheta?: number | undefined
  /** Tokens around a query that it attends to in sliding layers. Default: `128`. */
  localAttention?: number | undefined
  /** The first of so many layers attends to all tokens. Default: `3`. */
  windowPattern?: number | undefined
  /** Attention of each layer (default: by windowPattern). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[] | undefined
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean | undefined
  /** Biases of the feed-forward block. Default: `false`. */
  mlpBias?: boolean | undefined
  /** Dropout after the embeddings. Default: `0`. */
  embeddingDropout?: number | undefined
  /** Dropout of attention weights, and after attention. Default: `0`. */
  attentionDropout?: number | undefined
  /** Dropout inside the feed-forward block. Default: `0`. */
  mlpDropout?: number | undefined
  /** Pooling of a text to one vector in classifiers. Default: `cls`. */
  classifierPooling?: 'cls' | 'mean' | undefined
  /** Dropout before the output layer of classifiers. Default: `0`. */
  classifierDropout?: number | undefined
  /** Bias of the dense layer of heads. Default: `false`. */
  classifierBias?: boolean | undefined
  /** Activation of the dense layer of heads. Default: `gelu`. */
  classifierActivation?:
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
  /** Bias of the output layer of masked-token prediction. Default: `true`. */
  decoderBias?: boolean | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Id of the padding token. Default: `50283`. */
  padTokenId?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
}
