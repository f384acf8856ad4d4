// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture qwen3. */
export interface Qwen3Config {
  /** Vocabulary size. Default: `151936`. */
  vocabSize?: number
  /** Width of the residual stream. Default: `896`. */
  hiddenSize?: number
  /** Number of layers. Default: `24`. */
  numLayers?: number
  /** Query heads. Default: `14`. */
  numHeads?: number
  /** Key and value heads. Default: `2`. */
  numKvHeads?: number
  /** Width of the feed-forward block. Default: `4864`. */
  intermediateSize?: number
  /** Activation function of the feed-forward block. Default: `silu`. */
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
  /** Maximum input length in tokens. Default: `32768`. */
  maxPositions?: number
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number
  /** Base of the rotary frequencies. Default: `10000`. */
  ropeTheta?: number
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
        attentionFactor?: number
        mscale?: number
        mscaleAllDim?: number
        truncate?: boolean
      }
    | {
        kind: 'longrope'
        shortFactor: readonly number[]
        longFactor: readonly number[]
        originalPositions: number
        factor: number
        attentionFactor?: number
      }
  /** Sliding-window attention in some layers. Default: `false`. */
  useSlidingWindow?: boolean
  /** Keys that a query attends to in those layers (default: 4096). */
  slidingWindow?: number
  /** Layers below this one attend to all keys. Default: `28`. */
  maxWindowLayers?: number
  /** Attention of each layer (default: by maxWindowLayers). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[]
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean
  /** Size of a head. Default: `128`. */
  headDim?: number
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean
}
