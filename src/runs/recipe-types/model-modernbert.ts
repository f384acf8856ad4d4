// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture modernbert. */
export interface ModernbertConfig {
  /** Vocabulary size. Default: `50368`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `768`. */
  hiddenSize?: number
  /** Number of layers. Default: `22`. */
  numLayers?: number
  /** Attention heads. Default: `12`. */
  numHeads?: number
  /** Width of the feed-forward block. Default: `1152`. */
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
  /** Maximum input length in tokens. Default: `8192`. */
  maxPositions?: number
  /** Epsilon of the norms. Default: `0.00001`. */
  normEps?: number
  /** Biases of the norms. Default: `false`. */
  normBias?: boolean
  /** Base of the rotary frequencies. Default: `160000`. */
  ropeTheta?: number
  /** Base of the rotary frequencies in sliding layers. Default: `10000`. */
  localRopeTheta?: number
  /** Tokens around a query that it attends to in sliding layers. Default: `128`. */
  localAttention?: number
  /** The first of so many layers attends to all tokens. Default: `3`. */
  windowPattern?: number
  /** Attention of each layer (default: by windowPattern). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[]
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean
  /** Biases of the feed-forward block. Default: `false`. */
  mlpBias?: boolean
  /** Dropout after the embeddings. Default: `0`. */
  embeddingDropout?: number
  /** Dropout of attention weights, and after attention. Default: `0`. */
  attentionDropout?: number
  /** Dropout inside the feed-forward block. Default: `0`. */
  mlpDropout?: number
  /** Pooling of a text to one vector in classifiers. Default: `cls`. */
  classifierPooling?: 'cls' | 'mean'
  /** Dropout before the output layer of classifiers. Default: `0`. */
  classifierDropout?: number
  /** Bias of the dense layer of heads. Default: `false`. */
  classifierBias?: boolean
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
  /** Bias of the output layer of masked-token prediction. Default: `true`. */
  decoderBias?: boolean
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Id of the padding token. Default: `50283`. */
  padTokenId?: number
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean
}
