// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `adapter`, by `variant`. */
export interface VariantSettings {
  full: undefined
  'linear-probe': undefined
  bitfit: {
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  'last-n-layers': {
    /** Number of trained layers, counted from the last. Default: `2`. */
    layers?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  lora: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Rank of the low-rank matrices. Default: `8`. */
    rank?: number | undefined
    /** Scaling: the change is multiplied by alpha / rank. Default: `16`. */
    alpha?: number | undefined
    /** Ranks of some layers by name or pattern, such as {"layers.{8-11}.*": 16}; the first match counts. */
    rankPattern?: { readonly [name: string]: number } | undefined
    /** Alphas of some layers by name or pattern; the first match counts. */
    alphaPattern?: { readonly [name: string]: number } | undefined
    /**
     * Initial values: default (no change), pissa or olora (factors of the frozen matrix), loftq (of the
     * error of a quantised base). Default: `default`.
     */
    init?: 'default' | 'pissa' | 'olora' | 'loftq' | undefined
    /**
     * Pissa: subspace iterations of a randomised SVD; 4 to 16 are usual, faster for large matrices
     * (default: exact).
     */
    initIterations?: number | undefined
    /** Dropout on the input of the low-rank matrices. Default: `0`. */
    dropout?: number | undefined
    /** rsLoRA: multiply by alpha / sqrt(rank) instead (arXiv:2312.03732). Default: `false`. */
    rsLora?: boolean | undefined
    /**
     * DoRA: train the norm of each weight row separately from its direction (arXiv:2402.09353). Default:
     * `false`.
     */
    dora?: boolean | undefined
    /** LoRA+: ratio of the learning rate of B to that of A; 16 is usual (arXiv:2402.12354). Default: `1`. */
    loraPlusRatio?: number | undefined
    /** Tokens whose rows of embedding and output layer are trained too, such as new ones of a chat template. */
    tokens?: readonly string[] | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  adalora: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Average rank of the matrices after the allocation. Default: `8`. */
    targetRank?: number | undefined
    /** Rank of each matrix at the start. Default: `12`. */
    initialRank?: number | undefined
    /** Scaling: the change is multiplied by alpha / initialRank. Default: `16`. */
    alpha?: number | undefined
    /** Steps before ranks are reduced (default: a tenth of the run). */
    warmupSteps?: number | undefined
    /** Steps at the end, with ranks as they are (default: three tenths of the run). */
    finalSteps?: number | undefined
    /** Steps between two allocations. Default: `1`. */
    interval?: number | undefined
    /** Decay of the average importance of a component. Default: `0.85`. */
    sensitivityDecay?: number | undefined
    /** Decay of the average change of that importance. Default: `0.85`. */
    uncertaintyDecay?: number | undefined
    /** Factor of the loss term that keeps singular vectors orthogonal; 0 disables it. Default: `0.5`. */
    orthogonality?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  houlsby: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number | undefined
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
      | undefined
    /** Factor of the output of the bottleneck. Default: `1`. */
    scale?: number | undefined
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number | undefined
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number | undefined
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean | undefined
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  pfeiffer: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number | undefined
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
      | undefined
    /** Factor of the output of the bottleneck. Default: `1`. */
    scale?: number | undefined
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number | undefined
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number | undefined
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean | undefined
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  parallel: {
    /** Units of the bottleneck (default: max(hiddenSize / 16, min(64, hiddenSize / 4))). */
    size?: number | undefined
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
      | undefined
    /** Factor of the output of the bottleneck. Default: `4`. */
    scale?: number | undefined
    /**
     * AdapterDrop: first layers without an adapter, which then cost nothing in training and inference.
     * Default: `0`.
     */
    dropLayers?: number | undefined
    /**
     * AdapterDrop: each training step leaves out the adapters of 0 to so many first layers, at random.
     * Default: `0`.
     */
    randomDropLayers?: number | undefined
    /**
     * MAD-X: an invertible adapter after the embeddings, and its inverse before the output layer. Default:
     * `false`.
     */
    invertible?: boolean | undefined
    /** Width of half an embedding over the units within the invertible adapter (default: 2). */
    invertibleReduction?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  fusion: {
    /** Transform what the adapters add by a matrix, which starts as the identity. Default: `true`. */
    value?: boolean | undefined
    /** Loss term: factor of the squared distance of the value matrices from the identity. Default: `0.01`. */
    regularization?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  ia3: {
    /**
     * Layers to adapt: names such as kProj and vProj, or all-linear. Default:
     * `["kProj","vProj","downProj"]`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Targets whose input is scaled instead of their output. Default: `["downProj"]`. */
    inputTargets?: readonly ('qProj' | 'kProj' | 'vProj' | 'oProj' | 'gateProj' | 'upProj' | 'downProj')[] | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  loha: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Rank of each of the two low-rank matrices. Default: `8`. */
    rank?: number | undefined
    /** Scaling: the change is multiplied by alpha / rank. Default: `8`. */
    alpha?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  lokr: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Rank of the factors that are products of narrow matrices. Default: `8`. */
    rank?: number | undefined
    /** Scaling: the change is multiplied by alpha / rank. Default: `8`. */
    alpha?: number | undefined
    /**
     * Make a product of narrow matrices of the left, smaller factor too, where it is large enough. Default:
     * `false`.
     */
    decomposeBoth?: boolean | undefined
    /** Size of the left factor, at most; -1: as near the root of the width as a divisor is. Default: `-1`. */
    factor?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  vera: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /** Rank of the shared random matrices. Default: `256`. */
    rank?: number | undefined
    /** Initial value of the vector between the random matrices. Default: `0.1`. */
    initialScale?: number | undefined
    /** Random seed of the shared matrices, which files have too. Default: `0`. */
    projectionSeed?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  oft: {
    /**
     * Layers to adapt: all-linear, names such as qProj, or patterns such as layers.{0-5}.*. Default:
     * `all-linear`.
     */
    targets?: 'all-linear' | string | readonly string[] | undefined
    /**
     * Size of the orthogonal blocks; where it does not divide the width, the nearest divisor is taken.
     * Default: `32`.
     */
    blockSize?: number | undefined
    /** One block for the whole width instead of one for each part of it. Default: `false`. */
    blockShare?: boolean | undefined
    /**
     * Terms of the Cayley-Neumann series, which approximates the orthogonal block; more are more exact.
     * Default: `5`.
     */
    terms?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  'prefix-tuning': {
    /** Number of virtual tokens in front of every row. Default: `20`. */
    virtualTokens?: number | undefined
    /** Hidden units of a network that computes the prefix during training (default: no network). */
    projection?: number | undefined
    /**
     * Initialisation of the prefix: keys and values of tokens, or normal random values (default: tokens,
     * with `projection` normal).
     */
    init?: 'tokens' | 'normal' | undefined
    /** Text whose tokens initialise the prefix (default: random tokens of the vocabulary). */
    initialText?: string | undefined
    /**
     * Ratio of the learning rate of a trained head to that of the virtual tokens (default: such that the
     * head's is 0.001 at the method's own rate).
     */
    headRateRatio?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  'prompt-tuning': {
    /** Number of virtual tokens in front of every row. Default: `20`. */
    virtualTokens?: number | undefined
    /** Text whose token embeddings initialise the virtual tokens (default: random tokens of the vocabulary). */
    initialText?: string | undefined
    /**
     * Ratio of the learning rate of a trained head to that of the virtual tokens (default: such that the
     * head's is 0.001 at the method's own rate).
     */
    headRateRatio?: number | undefined
    /** Train the head too (default: yes, unless it is a language modelling head). */
    trainHead?: boolean | undefined
  }
  'feature-based': {
    /**
     * Layer of the hidden states: last, an index (0: embeddings, -1: last layer), or mean-last-N for the
     * mean of the last N layers. Default: `last`.
     */
    layer?: number | string | undefined
    /**
     * Pooling of a text's token vectors into one (default: mean; tasks that label tokens always use
     * `tokens`).
     */
    pooling?: 'mean' | 'first' | 'last' | 'max' | 'tokens' | undefined
    /**
     * Two texts of a record: together in one sequence, or separate, with u, v, |u-v| and u*v as features.
     * Default: `together`.
     */
    pairs?: 'together' | 'separate' | undefined
    /** Scale each feature to mean 0 and standard deviation 1 on the training data. Default: `false`. */
    standardize?: boolean | undefined
    /** Tokens per batch through the base. Default: `4096`. */
    batchTokens?: number | undefined
    /** Folder of the feature cache (default: tunesmith/features in the user's cache). */
    cache?: string | undefined
    /** Learner on the features (default: the first of these that supports the task). */
    learner?:
      | 'logistic-regression'
      | 'ridge'
      | 'linear-svm'
      | 'nearest-neighbours'
      | 'gradient-boosted-trees'
      | 'mlp'
      | undefined
    /** Inverse strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    C?: number | undefined
    /** Stop when no component of the gradient is larger. Default: `0.00001`. */
    tolerance?: number | undefined
    /** Maximum iterations of L-BFGS. Default: `2000`. */
    maxIterations?: number | undefined
    /** Strength of the L2 regularisation, as in scikit-learn. Default: `1`. */
    alpha?: number | undefined
    /** Number of neighbours that vote. Default: `5`. */
    neighbours?: number | undefined
    /** Distance between rows. Default: `cosine`. */
    metric?: 'euclidean' | 'cosine' | undefined
    /** Uniform, or distance: weight neighbours by the inverse of their distance. Default: `uniform`. */
    votes?: 'uniform' | 'distance' | undefined
    /** Boosting rounds: trees per class, or in all for up to two classes. Default: `100`. */
    rounds?: number | undefined
    /** Initial learning rate; it decays linearly to zero. Default: `0.001`. */
    learningRate?: number | undefined
    /** Maximum leaves per tree. Default: `31`. */
    maxLeaves?: number | undefined
    /** Minimum rows per leaf. Default: `20`. */
    minLeafRows?: number | undefined
    /** Histogram bins per feature; 255, as in scikit-learn, takes about three times as long. Default: `64`. */
    bins?: number | undefined
    /** L2 regularisation of leaf values. Default: `0`. */
    l2?: number | undefined
    /** Width of the hidden layer, or of each hidden layer. Default: `[128]`. */
    hidden?: number | readonly number[] | undefined
    /** Training epochs. Default: `20`. */
    epochs?: number | undefined
    /** Rows per step. Default: `256`. */
    batch?: number | undefined
    /** Decoupled weight decay of AdamW. Default: `0.01`. */
    weightDecay?: number | undefined
  }
}

/** A variant with its settings. */
export type VariantChoice = {
  [Variant in keyof VariantSettings]: {
    /** Fine-tuning method. Default: `full`. */
    variant: Variant
    /** Settings of the variant, such as rank. */
    adapter?: VariantSettings[Variant] | undefined
  }
}[keyof VariantSettings]
