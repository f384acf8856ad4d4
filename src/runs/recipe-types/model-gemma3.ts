// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture gemma3. */
export interface Gemma3Config {
  /** Size of a head. Default: `256`. */
  headDim?: number | undefined
  /** Activation function of the feed-forward block. Default: `gelu_pytorch_tanh`. */
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
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number | undefined
  /** Base of the rotary frequencies. Default: `1000000`. */
  ropeTheta?: number | undefined
  /**
   * Scaling of the rotary frequencies; dynamic and longrope go by the longest text of a batch. Default:
   * `{"kind":"default"}`.
   */
  ropeScaling?:
    | {
        kind: 'default'
      }
    | {
        kind: 'linear'
        factor: number
      }
    | {
        kind: 'dynamic'
        factor: number
        originalPositions: number
      }
    | {
        kind: 'llama3'
        factor: number
        lowFreqFactor: number
        highFreqFactor: number
        originalPositions: number
      }
    | {
        kind: 'yarn'
        factor: number
        originalPositions: number
        betaFast: number
        betaSlow: number
        attentionFactor?: number | undefined
        mscale?: number | undefined
        mscaleAllDim?: number | undefined
        truncate?: boolean | undefined
      }
    | {
        kind: 'longrope'
        shortFactor: readonly number[]
        longFactor: readonly number[]
        originalPositions: number
        factor: number
        attentionFactor?: number | undefined
      }
    | undefined
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `true`. */
  tiedEmbeddings?: boolean | undefined
  /** Vocabulary size. Default: `262208`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `2304`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `26`. */
  numLayers?: number | undefined
  /** Query heads. Default: `8`. */
  numHeads?: number | undefined
  /** Key and value heads. Default: `4`. */
  numKvHeads?: number | undefined
  /** Width of the feed-forward block. Default: `9216`. */
  intermediateSize?: number | undefined
  /** Maximum input length in tokens. Default: `131072`. */
  maxPositions?: number | undefined
  /** Base of the rotary frequencies in sliding layers. Default: `10000`. */
  localRopeTheta?: number | undefined
  /** Divide attention scores by the root of this. Default: `256`. */
  queryScale?: number | undefined
  /** Keys that a query attends to in sliding layers. Default: `4096`. */
  slidingWindow?: number | undefined
  /** Each such layer attends to all keys. Default: `6`. */
  windowPattern?: number | undefined
  /** Attention of each layer (default: by windowPattern). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[] | undefined
}
