// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture qwen2. */
export interface Qwen2Config {
  /** Vocabulary size. Default: `151936`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `896`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `24`. */
  numLayers?: number | undefined
  /** Query heads. Default: `14`. */
  numHeads?: number | undefined
  /** Key and value heads. Default: `2`. */
  numKvHeads?: number | undefined
  /** Width of the feed-forward block. Default: `4864`. */
  intermediateSize?: number | undefined
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
    | undefined
  /** Maximum input length in tokens. Default: `32768`. */
  maxPositions?: number | undefined
  /** Epsilon of the norms. Default: `0.000001`. */
  normEps?: number | undefined
  /** Base of the rotary frequencies. Default: `10000`. */
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
  /** Sliding-window attention in some layers. Default: `false`. */
  useSlidingWindow?: boolean | undefined
  /** Keys that a query attends to in those layers (default: 4096). */
  slidingWindow?: number | undefined
  /** Layers below this one attend to all keys. Default: `28`. */
  maxWindowLayers?: number | undefined
  /** Attention of each layer (default: by maxWindowLayers). */
  layerTypes?: readonly ('full_attention' | 'sliding_attention')[] | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
  /** Size of a head (default: hiddenSize / numHeads). */
  headDim?: number | undefined
}
