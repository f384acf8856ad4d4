// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `settings`, by `objective` of an alignment. */
export interface AlignObjectiveSettings {
  dpo: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong (conservative DPO). Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  'robust-dpo': {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong. Default: `0.1`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  'dpo-norm': {
    /** Strength of the penalty for leaving the reference model. Default: `5`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong (conservative DPO). Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  ipo: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  'ipo-sum': {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  hinge: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  exo: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Probability of the rejected answer in the labels; not 0. Default: `0.001`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  discopop: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Margin over which the two losses are blended. Default: `0.05`. */
    tau?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  bco: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
    /**
     * What separates good rewards from bad ones: their running mean, which costs a forward pass, or 0.
     * Default: `running-mean`.
     */
    shift?: 'running-mean' | 'none'
  }
  sppo: {
    /** Strength of the penalty for leaving the reference model. Default: `0.001`. */
    beta?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  aot: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong. Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  'aot-unpaired': {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong. Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  kto: {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Weight of good answers; make up for unequal numbers of both. Default: `1`. */
    desirableWeight?: number
    /** Weight of bad answers; make up for unequal numbers of both. Default: `1`. */
    undesirableWeight?: number
    /**
     * Rewards are compared with: kl (estimated over the batch, two forward passes) or none (0, as unpaired
     * APO-zero). Default: `kl`.
     */
    baseline?: 'kl' | 'none'
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
  simpo: {
    /** Factor of the rewards. Default: `2.5`. */
    beta?: number
    /** Target of the reward margin, divided by beta (gamma / beta). Default: `0.55`. */
    gammaRatio?: number
    /** Share of pairs whose labels are taken to be wrong. Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
  }
  cpo: {
    /** Factor of the rewards. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong. Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `1`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
  }
  alphapo: {
    /** Factor of the rewards. Default: `2.5`. */
    beta?: number
    /** Target of the reward margin, divided by beta (gamma / beta). Default: `0.55`. */
    gammaRatio?: number
    /** Shape of the reward (0: the log-probability, as SimPO). Default: `0.25`. */
    alpha?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
  }
  orpo: {
    /** Weight of the odds ratio. Default: `0.1`. */
    lambda?: number
    /**
     * Cross entropy over prompt and answer, as the authors compute it; false: over the answer. Default:
     * `true`.
     */
    promptLoss?: boolean
  }
  raft: {
    /** Answers of each prompt to train on, the best first. Default: `1`. */
    keep?: number
    /** Least reward of an answer to train on, such as 1 for correct ones. */
    minScore?: number
  }
  'online-dpo': {
    /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
    beta?: number
    /** Share of pairs whose labels are taken to be wrong (conservative DPO). Default: `0`. */
    labelSmoothing?: number
    /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
    sftWeight?: number
    /**
     * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
     * Default: `false`.
     */
    weighting?: boolean
    /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
    tailWeight?: number
    /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
    divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
    /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
    divergenceAlpha?: number
    /**
     * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
     * never).
     */
    referenceSyncSteps?: number
    /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
    referenceMix?: number
  }
}

/** Settings of `settings` for every reinforcement learning algorithm. */
export interface RewardAlgorithmSettings {
  /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
  beta?: number
  /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
  sftWeight?: number
  /**
   * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
   * Default: `false`.
   */
  weighting?: boolean
  /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
  tailWeight?: number
  /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
  divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha'
  /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
  divergenceAlpha?: number
  /**
   * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
   * never).
   */
  referenceSyncSteps?: number
  /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
  referenceMix?: number
}

/** An objective of alignment with its settings. */
export type AlignObjectiveChoice =
  | {
      [Objective in keyof AlignObjectiveSettings]: {
        /**
         * What the model learns: preferences (dpo, kto, orpo …) or rewards of its own answers (ppo, grpo, rloo
         * …).
         */
        objective: Objective
        /** Settings of the objective: beta, label smoothing …. */
        settings?: AlignObjectiveSettings[Objective]
      }
    }[keyof AlignObjectiveSettings]
  | {
      /**
       * What the model learns: preferences (dpo, kto, orpo …) or rewards of its own answers (ppo, grpo, rloo
       * …).
       */
      objective:
        | 'nca'
        | 'apo-zero'
        | 'apo-down'
        | 'ppo'
        | 'grpo'
        | 'dr-grpo'
        | 'dapo'
        | 'gspo'
        | 'gspo-token'
        | 'cispo'
        | 'sapo'
        | 'gmpo'
        | 'gdpo'
        | 'rloo'
        | 'reinforce-plus-plus'
        | 'reinforce-plus-plus-baseline'
        | 'remax'
        | 'reinforce'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: RewardAlgorithmSettings
    }
