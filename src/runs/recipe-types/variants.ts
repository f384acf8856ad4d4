// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `adapter`, by `variant`. */
export interface VariantSettings {
  full: undefined
  'linear-probe': undefined
  bitfit: {
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  'last-n-layers': {
    /** Number of trained layers, counted from the last. Default: `2`. */
    layers?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  lora: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Rank of the low-rank matrices. Default: `8`. */
    rank?: number
    /** Scaling: the change is multiplied by alpha / rank. Default: `16`. */
    alpha?: number
    /** Ranks of some layers by name or pattern, such as {"layers.{8-11}.*": 16}; the first match counts. */
    rankPattern?: { readonly [name: string]: number }
    /** Alphas of some layers by name or pattern; the first match counts. */
    alphaPattern?: { readonly [name: string]: number }
    /**
     * Initial values: default (no change), pissa or olora (factors of the frozen matrix), loftq (of the
     * error of a quantised base). Default: `default`.
     */
    init?: 'default' | 'pissa' | 'olora' | 'loftq'
    /**
     * Pissa: subspace iterations of a randomised SVD; 4 to 16 are usual, faster for large matrices
     * (default: exact).
     */
    initIterations?: number
    /** Dropout on the input of the low-rank matrices. Default: `0`. */
    dropout?: number
    /** rsLoRA: multiply by alpha / sqrt(rank) instead (arXiv:2312.03732). Default: `false`. */
    rsLora?: boolean
    /**
     * DoRA: train the norm of each weight row separately from its direction (arXiv:2402.09353). Default:
     * `false`.
     */
    dora?: boolean
    /** LoRA+: ratio of the learning rate of B to that of A; 16 is usual (arXiv:2402.12354). Default: `1`. */
    loraPlusRatio?: number
    /** Tokens whose rows of embedding and output layer are trained too, such as new ones of a chat template. */
    tokens?: readonly string[]
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  adalora: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Average rank of the matrices after the allocation. Default: `8`. */
    targetRank?: number
    /** Rank of each matrix at the start. Default: `12`. */
    initialRank?: number
    /** Scaling: the change is multiplied by alpha / initialRank. Default: `16`. */
    alpha?: number
    /** Steps before ranks are reduced (default: a tenth of the run). */
    warmupSteps?: number
    /** Steps at the end, with ranks as they are (default: three tenths of the run). */
    finalSteps?: number
    /** Steps between two allocations. Default: `1`. */
    interval?: number
    /** Decay of the average importance of a component. Default: `0.85`. */
    sensitivityDecay?: number
    /** Decay of the average change of that importance. Default: `0.85`. */
    uncertaintyDecay?: number
    /** Factor of the loss term that keeps singular vectors orthogonal; 0 disables it. Default: `0.5`. */
    orthogonality?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  houlsby: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the output of the bottleneck. Default: `1`. */
    scale?: number
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  pfeiffer: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the output of the bottleneck. Default: `1`. */
    scale?: number
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  parallel: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number
    /** Activation in the bottleneck. Default: `relu`. */
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
    /** Factor of the output of the bottleneck. Default: `4`. */
    scale?: number
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  fusion: {
    /** Transform what the adapters add by a matrix, which starts as the identity. Default: `true`. */
    value?: boolean
    /** Loss term: factor of the squared distance of the value matrices from the identity. Default: `0.01`. */
    regularization?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  ia3: {
    /**
     * Layers to adapt: names such as kProj and vProj, or all-linear. Default:
     * `["kProj","vProj","downProj"]`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Targets whose input is scaled instead of their output. Default: `["downProj"]`. */
    inputTargets?: readonly ('qProj' | 'kProj' | 'vProj' | 'oProj' | 'gateProj' | 'upProj' | 'downProj')[]
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  loha: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Rank of each of the two low-rank matrices. Default: `8`. */
    rank?: number
    /** Scaling: the change is multiplied by alpha / rank. Default: `8`. */
    alpha?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  lokr: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Rank of the factors that are products of narrow matrices. Default: `8`. */
    rank?: number
    /** Scaling: the change is multiplied by alpha / rank. Default: `8`. */
    alpha?: number
    /**
     * Make a product of narrow matrices of the left, smaller factor too, where it is large enough. Default:
     * `false`.
     */
    decomposeBoth?: boolean
    /** Size of the left factor, at most; -1: as near the root of the width as a divisor is. Default: `-1`. */
    factor?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  vera: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /** Rank of the shared random matrices. Default: `256`. */
    rank?: number
    /** Initial value of the vector between the random matrices. Default: `0.1`. */
    initialScale?: number
    /** Random seed of the shared matrices, which files have too. Default: `0`. */
    projectionSeed?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  oft: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[]
    /**
     * Size of the orthogonal blocks; where it does not divide the width, the nearest divisor is taken.
     * Default: `32`.
     */
    blockSize?: number
    /** One block for the whole width instead of one for each part of it. Default: `false`. */
    blockShare?: boolean
    /**
     * Terms of the Cayley-Neumann series, which approximates the orthogonal block; more are more exact.
     * Default: `5`.
     */
    terms?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  'prefix-tuning': {
    /** Number of virtual tokens in front of every row. Default: `20`. */
    virtualTokens?: number
    /** Hidden units of a network that computes the prefix during training (default: no network). */
    projection?: number
    /**
     * Initialisation of the prefix: keys and values of tokens, or normal random values (default: tokens,
     * with `projection` normal).
     */
    init?: 'tokens' | 'normal'
    /** Text whose tokens initialise the prefix (default: random tokens of the vocabulary). */
    initialText?: string
    /**
     * Ratio of the learning rate of a trained head to that of the virtual tokens (default: such that the
     * head's is 0.001 at the method's own rate).
     */
    headRateRatio?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  'prompt-tuning': {
    /** Number of virtual tokens in front of every row. Default: `20`. */
    virtualTokens?: number
    /** Text whose token embeddings initialise the virtual tokens (default: random tokens of the vocabulary). */
    initialText?: string
    /**
     * Ratio of the learning rate of a trained head to that of the virtual tokens (default: such that the
     * head's is 0.001 at the method's own rate).
     */
    headRateRatio?: number
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean
  }
  'feature-based': {
    /**
     * Layer of the hidden states: last, an index (0: embeddings, -1: last layer), or mean-last-N for the
     * mean of the last N layers. Default: `last`.
     */
    layer?: number | string
    /**
     * Pooling of a text's token vectors into one (default: mean; tasks that label tokens always use
     * `tokens`).
     */
    pooling?: 'mean' | 'first' | 'last' | 'max' | 'tokens'
    /**
     * Two texts of a record: together in one sequence, or separate, with u, v, |u-v| and u*v as features.
     * Default: `together`.
     */
    pairs?: 'together' | 'separate'
    /** Scale each feature to mean 0 and standard deviation 1 on the training data. Default: `false`. */
    standardize?: boolean
    /** Tokens per batch through the base. Default: `4096`. */
    batchTokens?: number
    /** Folder of the feature cache (default: tunesmith/features in the user's cache). */
    cache?: string
    /** Learner on the features (default: the first of these that supports the task). */
    learner?: 'logistic-regression' | 'ridge' | 'linear-svm' | 'nearest-neighbours' | 'gradient-boosted-trees' | 'mlp'
    /** Inverse strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    C?: number
    /** Stop when no component of the gradient is larger. Default: `0.00001`. */
    tolerance?: number
    /** Maximum iterations of L-BFGS. Default: `2000`. */
    maxIterations?: number
    /** Strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    alpha?: number
    /** Number of neighbours that vote. Default: `5`. */
    neighbours?: number
    /** Distance between rows. Default: `cosine`. */
    metric?: 'euclidean' | 'cosine'
    /** Uniform, or distance: weight neighbours by the inverse of their distance. Default: `uniform`. */
    votes?: 'uniform' | 'distance'
    /** Boosting rounds: trees per class, or in all for up to two classes. Default: `100`. */
    rounds?: number
    /** Initial learning rate; it decays linearly to zero. Default: `0.001`. */
    learningRate?: number
    /** Maximum leaves per tree. Default: `31`. */
    maxLeaves?: number
    /** Minimum rows per leaf. Default: `20`. */
    minLeafRows?: number
    /** Histogram bins per feature; 255, as in scikit-learn, takes about three times as long. Default: `64`. */
    bins?: number
    /** L2 regularisation of leaf values. Default: `0`. */
    l2?: number
    /** Width of the hidden layer, or of each hidden layer. Default: `[128]`. */
    hidden?: number | readonly number[]
    /** Training epochs. Default: `20`. */
    epochs?: number
    /** Rows per step. Default: `256`. */
    batch?: number
    /** Decoupled weight decay of AdamW. Default: `0.01`. */
    weightDecay?: number
  }
}

/** A variant with its settings. */
export type VariantChoice = {
  [Variant in keyof VariantSettings]: {
    /** Fine-tuning method. Default: `full`. */
    variant: Variant
    /** Settings of the variant, such as rank. */
    adapter?: VariantSettings[Variant]
  }
}[keyof VariantSettings]
