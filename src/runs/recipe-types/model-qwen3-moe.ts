// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of the architecture qwen3-moe. */
export interface Qwen3MoeConfig {
  /** Vocabulary size. Default: `151936`. */
  vocabSize?: number | undefined
  /** Width of the residual stream. Default: `2048`. */
  hiddenSize?: number | undefined
  /** Number of layers. Default: `24`. */
  numLayers?: number | undefined
  /** Query heads. Default: `32`. */
  numHeads?: number | undefined
  /** Key and value heads. Default: `4`. */
  numKvHeads?: number | undefined
  /** Size of a head (default: hiddenSize / numHeads). */
  headDim?: number | undefined
  /** Width of feed-forward blocks without experts. Default: `6144`. */
  intermediateSize?: number | undefined
  /** Width of each expert. Default: `768`. */
  expertSize?: number | undefined
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
  /** Biases of the attention projections. Default: `false`. */
  attentionBias?: boolean | undefined
  /** Sliding-window attention in all layers. Default: `false`. */
  useSlidingWindow?: boolean | undefined
  /** Keys that a query attends to then (default: 4096). */
  slidingWindow?: number | undefined
  /** Experts of each mixture. Default: `128`. */
  numExperts?: number | undefined
  /** Experts that each token is sent to. Default: `8`. */
  expertsPerToken?: number | undefined
  /** Add the loss that balances the experts, in training of a language model. Default: `false`. */
  outputRouterLogits?: boolean | undefined
  /** Factor of that loss. Default: `0.001`. */
  routerLossFactor?: number | undefined
  /** Divide the weights of a token's experts by their sum. Default: `false`. */
  normalizeWeights?: boolean | undefined
  /** Each such layer has a mixture. Default: `1`. */
  sparseInterval?: number | undefined
  /** Numbers of layers without a mixture, from 0. */
  denseLayers?: readonly number[] | undefined
  /** Dropout of attention weights. Default: `0`. */
  attentionDropout?: number | undefined
  /** Standard deviation of initial weights. Default: `0.02`. */
  initializerRange?: number | undefined
  /** Tie the output layer to the token embedding. Default: `false`. */
  tiedEmbeddings?: boolean | undefined
}
