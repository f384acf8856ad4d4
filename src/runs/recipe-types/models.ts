// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `model.config`, by `model.type`. */
export interface ModelConfigs {
  bert: {
    /** Entries of the vocabulary. Default: `30522`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `768`. */
    hiddenSize?: number
    /** Blocks. Default: `12`. */
    numLayers?: number
    /** Attention heads. Default: `12`. */
    numHeads?: number
    /** Width inside the feed-forward block. Default: `3072`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `gelu`. */
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
    /** Longest input. Default: `512`. */
    maxPositions?: number
    /** Segments. Default: `2`. */
    typeVocabSize?: number
    /** Added to variances. Default: `1e-12`. */
    normEps?: number
    /** Dropout after embeddings and blocks. Default: `0.1`. */
    hiddenDropout?: number
    /** Dropout of attention weights. Default: `0.1`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Id of the padding token. Default: `0`. */
    padTokenId?: number
    /** Output layer shares the token embedding. Default: `true`. */
    tiedEmbeddings?: boolean
  }
  distilbert: {
    /** Entries of the vocabulary. Default: `30522`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `768`. */
    hiddenSize?: number
    /** Blocks. Default: `6`. */
    numLayers?: number
    /** Attention heads. Default: `12`. */
    numHeads?: number
    /** Width inside the feed-forward block. Default: `3072`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `gelu`. */
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
    /** Longest input. Default: `512`. */
    maxPositions?: number
    /** Dropout after embeddings and blocks. Default: `0.1`. */
    hiddenDropout?: number
    /** Dropout of attention weights. Default: `0.1`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Id of the padding token. Default: `0`. */
    padTokenId?: number
    /** Output layer shares the token embedding. Default: `true`. */
    tiedEmbeddings?: boolean
  }
  electra: {
    /** Entries of the vocabulary. Default: `30522`. */
    vocabSize?: number
    /** Width of the embedding tables. Default: `128`. */
    embeddingSize?: number
    /** Width of the residual stream. Default: `256`. */
    hiddenSize?: number
    /** Blocks. Default: `12`. */
    numLayers?: number
    /** Attention heads. Default: `4`. */
    numHeads?: number
    /** Width inside the feed-forward block. Default: `1024`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `gelu`. */
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
    /** Longest input. Default: `512`. */
    maxPositions?: number
    /** Segments. Default: `2`. */
    typeVocabSize?: number
    /** Added to variances. Default: `1e-12`. */
    normEps?: number
    /** Dropout after embeddings and blocks. Default: `0.1`. */
    hiddenDropout?: number
    /** Dropout of attention weights. Default: `0.1`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Id of the padding token. Default: `0`. */
    padTokenId?: number
    /** Output layer shares the token embedding. Default: `true`. */
    tiedEmbeddings?: boolean
  }
  gpt2: {
    /** Entries of the vocabulary. Default: `50257`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `768`. */
    hiddenSize?: number
    /** Blocks. Default: `12`. */
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
  llama: {
    /** Entries of the vocabulary. Default: `32000`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `4096`. */
    hiddenSize?: number
    /** Blocks. Default: `32`. */
    numLayers?: number
    /** Query heads. Default: `32`. */
    numHeads?: number
    /** Key and value heads; numHeads unless given. */
    numKvHeads?: number
    /** Size of a head; hiddenSize / numHeads unless given. */
    headDim?: number
    /** Width inside the feed-forward block. Default: `11008`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `silu`. */
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
    /** Longest input. Default: `2048`. */
    maxPositions?: number
    /** Added to variances. Default: `0.000001`. */
    normEps?: number
    /** Base of the rotary frequencies. Default: `10000`. */
    ropeTheta?: number
    /** Stretching of the rotary frequencies. Default: `{"kind":"default"}`. */
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
        }
    /** Biases in the attention projections. Default: `false`. */
    attentionBias?: boolean
    /** Biases in the gated block. Default: `false`. */
    mlpBias?: boolean
    /** Keys further back are not seen; 0 sees all. Default: `0`. */
    slidingWindow?: number
    /** Dropout of attention weights. Default: `0`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Output layer shares the token embedding. Default: `false`. */
    tiedEmbeddings?: boolean
  }
  mistral: {
    /** Entries of the vocabulary. Default: `32000`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `4096`. */
    hiddenSize?: number
    /** Blocks. Default: `32`. */
    numLayers?: number
    /** Query heads. Default: `32`. */
    numHeads?: number
    /** Key and value heads; numHeads unless given. */
    numKvHeads?: number
    /** Size of a head; hiddenSize / numHeads unless given. */
    headDim?: number
    /** Width inside the feed-forward block. Default: `11008`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `silu`. */
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
    /** Longest input. Default: `2048`. */
    maxPositions?: number
    /** Added to variances. Default: `0.000001`. */
    normEps?: number
    /** Base of the rotary frequencies. Default: `10000`. */
    ropeTheta?: number
    /** Stretching of the rotary frequencies. Default: `{"kind":"default"}`. */
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
        }
    /** Biases in the attention projections. Default: `false`. */
    attentionBias?: boolean
    /** Biases in the gated block. Default: `false`. */
    mlpBias?: boolean
    /** Keys further back are not seen; 0 sees all. Default: `0`. */
    slidingWindow?: number
    /** Dropout of attention weights. Default: `0`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Output layer shares the token embedding. Default: `false`. */
    tiedEmbeddings?: boolean
  }
  qwen2: {
    /** Entries of the vocabulary. Default: `151936`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `896`. */
    hiddenSize?: number
    /** Blocks. Default: `24`. */
    numLayers?: number
    /** Query heads. Default: `14`. */
    numHeads?: number
    /** Key and value heads. Default: `2`. */
    numKvHeads?: number
    /** Width inside the feed-forward block. Default: `4864`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `silu`. */
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
    /** Longest input. Default: `32768`. */
    maxPositions?: number
    /** Added to variances. Default: `0.000001`. */
    normEps?: number
    /** Base of the rotary frequencies. Default: `10000`. */
    ropeTheta?: number
    /** Stretching of the rotary frequencies. Default: `{"kind":"default"}`. */
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
        }
    /** Dropout of attention weights. Default: `0`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Output layer shares the token embedding. Default: `false`. */
    tiedEmbeddings?: boolean
    /** Size of a head; hiddenSize / numHeads unless given. */
    headDim?: number
  }
  qwen3: {
    /** Entries of the vocabulary. Default: `151936`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `896`. */
    hiddenSize?: number
    /** Blocks. Default: `24`. */
    numLayers?: number
    /** Query heads. Default: `14`. */
    numHeads?: number
    /** Key and value heads. Default: `2`. */
    numKvHeads?: number
    /** Width inside the feed-forward block. Default: `4864`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `silu`. */
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
    /** Longest input. Default: `32768`. */
    maxPositions?: number
    /** Added to variances. Default: `0.000001`. */
    normEps?: number
    /** Base of the rotary frequencies. Default: `10000`. */
    ropeTheta?: number
    /** Stretching of the rotary frequencies. Default: `{"kind":"default"}`. */
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
        }
    /** Dropout of attention weights. Default: `0`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Output layer shares the token embedding. Default: `false`. */
    tiedEmbeddings?: boolean
    /** Size of a head. Default: `128`. */
    headDim?: number
    /** Biases in the attention projections. Default: `false`. */
    attentionBias?: boolean
  }
  roberta: {
    /** Entries of the vocabulary. Default: `50265`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `768`. */
    hiddenSize?: number
    /** Blocks. Default: `12`. */
    numLayers?: number
    /** Attention heads. Default: `12`. */
    numHeads?: number
    /** Width inside the feed-forward block. Default: `3072`. */
    intermediateSize?: number
    /** Of the feed-forward block. Default: `gelu`. */
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
    /** Rows of the position table: the longest input and two. Default: `514`. */
    maxPositions?: number
    /** Segments. Default: `1`. */
    typeVocabSize?: number
    /** Added to variances. Default: `0.00001`. */
    normEps?: number
    /** Dropout after embeddings and blocks. Default: `0.1`. */
    hiddenDropout?: number
    /** Dropout of attention weights. Default: `0.1`. */
    attentionDropout?: number
    /** Standard deviation of fresh weights. Default: `0.02`. */
    initializerRange?: number
    /** Id of the padding token. Default: `1`. */
    padTokenId?: number
    /** Output layer shares the token embedding. Default: `true`. */
    tiedEmbeddings?: boolean
  }
  t5: {
    /** Entries of the vocabulary. Default: `32128`. */
    vocabSize?: number
    /** Width of the residual stream. Default: `512`. */
    hiddenSize?: number
    /** Size of a head. Default: `64`. */
    headDim?: number
    /** Width inside the feed-forward block. Default: `2048`. */
    intermediateSize?: number
    /** Blocks of the encoder. Default: `6`. */
    numLayers?: number
    /** Blocks of the decoder; numLayers unless given. */
    numDecoderLayers?: number
    /** Attention heads. Default: `8`. */
    numHeads?: number
    /** Buckets of distances. Default: `32`. */
    relativeBuckets?: number
    /** Distances from here on share the last bucket. Default: `128`. */
    relativeMaxDistance?: number
    /** Of the feed-forward block. Default: `relu`. */
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
    /** Gated feed-forward blocks, as v1.1 and flan have. Default: `false`. */
    gated?: boolean
    /** Dropout everywhere. Default: `0.1`. */
    dropout?: number
    /** Added to variances. Default: `0.000001`. */
    normEps?: number
    /** Scales fresh weights. Default: `1`. */
    initializerFactor?: number
    /** Id of the padding token. Default: `0`. */
    padTokenId?: number
    /** Id that decoding starts from. Default: `0`. */
    decoderStartTokenId?: number
    /** Output layer shares the token embedding. Default: `true`. */
    tiedEmbeddings?: boolean
    /** Divide by the root of the hidden size before scoring; as tiedEmbeddings unless given. */
    scaleOutputs?: boolean
  }
}

/** Names of presets, by `model.type`. */
export interface ModelPresets {
  bert: 'test' | 'tiny' | 'mini' | 'small' | 'medium' | 'base' | 'large'
  distilbert: 'test' | 'base'
  electra: 'test' | 'small' | 'base' | 'large'
  gpt2: 'test' | '1m' | '10m' | '30m' | 'small' | 'medium' | 'large' | 'xl'
  llama: 'test' | 'smollm2-135m' | 'tinyllama-1.1b' | 'llama-2-7b'
  mistral: 'test' | '7b'
  qwen2: 'test' | '0.5b' | '1.5b'
  qwen3: 'test' | '0.6b'
  roberta: 'test' | 'base' | 'large'
  t5: 'test' | 'small' | 'base' | 'large' | 'v1.1-small' | 'v1.1-base' | 'v1.1-large'
}

/** A new model: an architecture with a preset, a depth or its own settings. */
export type NewModel = {
  [Type in keyof ModelConfigs]: {
    /** Architecture. */
    type: Type
    /** Size from the literature, such as base or tiny. */
    preset?: Type extends keyof ModelPresets ? ModelPresets[Type] : string
    /** Number of layers; sets width, heads, learning rate, batch and budget by rule, unless they are set. */
    depth?: number
    /** Settings of the architecture, over the preset's. */
    config?: ModelConfigs[Type]
  }
}[keyof ModelConfigs]
