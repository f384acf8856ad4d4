// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.

/** Settings of `settings` with the objectives dpo, robust-dpo, dpo-norm, ipo, ipo-sum, hinge, exo, discopop, nca, bco, apo-zero, apo-down, sppo, aot, aot-unpaired, simpo, cpo, alphapo, orpo; each has some of them. */
export interface DpoSettings {
  /** Weight of the odds ratio. Default: `0.1`. */
  lambda?: number | undefined
  /**
   * Cross entropy over prompt and answer, as the authors compute it; false: over the answer. Default:
   * `true`.
   */
  promptLoss?: boolean | undefined
  /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
  beta?: number | undefined
  /** Target of the reward margin, divided by beta (gamma / beta). Default: `0.55`. */
  gammaRatio?: number | undefined
  /** Shape of the reward (0: the log-probability, as SimPO). Default: `0.25`. */
  alpha?: number | undefined
  /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
  sftWeight?: number | undefined
  /**
   * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
   * Default: `false`.
   */
  weighting?: boolean | undefined
  /** Share of pairs whose labels are taken to be wrong (conservative DPO). Default: `0`. */
  labelSmoothing?: number | undefined
  /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
  tailWeight?: number | undefined
  /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
  divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha' | undefined
  /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
  divergenceAlpha?: number | undefined
  /**
   * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
   * never).
   */
  referenceSyncSteps?: number | undefined
  /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
  referenceMix?: number | undefined
  /**
   * Threshold between good and bad rewards: their running mean, which costs a forward pass, or 0.
   * Default: `running-mean`.
   */
  shift?: 'running-mean' | 'none' | undefined
  /** Margin over which the two losses are blended. Default: `0.05`. */
  tau?: number | undefined
}

/** Settings of `settings` with the objectives kto; each has some of them. */
export interface KtoSettings {
  /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
  beta?: number | undefined
  /** Weight of good answers; make up for unequal numbers of both. Default: `1`. */
  desirableWeight?: number | undefined
  /** Weight of bad answers; make up for unequal numbers of both. Default: `1`. */
  undesirableWeight?: number | undefined
  /**
   * Rewards are compared with: kl (estimated over the batch, two forward passes) or none (0, as unpaired
   * APO-zero). Default: `kl`.
   */
  baseline?: 'kl' | 'none' | undefined
  /**
   * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
   * never).
   */
  referenceSyncSteps?: number | undefined
  /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
  referenceMix?: number | undefined
}

/** Settings of `settings` with the objectives ppo, grpo, dr-grpo, dapo, gspo, gspo-token, cispo, sapo, gmpo, gdpo, rloo, reinforce-plus-plus, reinforce-plus-plus-baseline, remax, reinforce; each has some of them. */
export interface PpoSettings {
  /** Coefficient of the KL divergence from the reference model (default: the objective's; 0 for none). */
  beta?: number | undefined
  /** Place of the KL divergence: in the reward of each token, or in the loss (default: the objective's). */
  klIn?: 'reward' | 'loss' | undefined
  /** Estimator of the KL divergence (default: the objective's; k1 or k3 in the reward). */
  klEstimator?: 'k1' | 'k2' | 'k3' | 'k3-k2' | undefined
  /**
   * Multiply by the probability ratio, which makes the gradients of k1 and k3 unbiased and that of k2
   * biased (default: for k1 and k3, as DeepSeek-V3.2).
   */
  klRatioCorrected?: boolean | undefined
  /** Adapt beta, so that the KL divergence stays near a target. */
  adaptiveKl?:
    | {
        /** KL divergence per answer to aim for, in nats. Default: `6`. */
        target?: number | undefined
        /** Answers over which the coefficient adapts. Default: `10000`. */
        horizon?: number | undefined
      }
    | undefined
  /** Settings of the advantage estimator over the objective's: type, scale, gamma, lambda …. */
  advantages?: { readonly [name: string]: unknown } | undefined
  /** Settings of the policy loss over the objective's: type, clipLow, clipHigh, aggregation …. */
  loss?: { readonly [name: string]: unknown } | undefined
  /** Penalties, clipping and truncated answers. */
  shaping?:
    | {
        /** Soft penalty of long answers (DAPO). */
        overlong?:
          | {
              /** Completion tokens from which the full penalty applies. */
              maxLength: number
              /** Completion tokens before maxLength in which the penalty grows linearly. */
              zone: number
              /** Reward that the longest answers lose. Default: `1`. */
              penalty?: number | undefined
            }
          | undefined
        /** Subtracted from the reward of answers without an end token. */
        missingEndPenalty?: number | undefined
        /** Reward of answers without an end token, in place of their own; -1 in InstructGPT-style training. */
        missingEndScore?: number | undefined
        /** Clip rewards to this absolute value. */
        clip?: number | undefined
        /**
         * Do not train on answers without an end token, nor count them in baselines (default: true for dapo,
         * else false).
         */
        maskTruncated?: boolean | undefined
      }
    | undefined
  /**
   * Critic of objectives that have one: a head on the hidden states of the policy, or an adapter of its
   * own on the frozen base (default: adapter where the policy is an adapter).
   */
  critic?: 'head' | 'adapter' | undefined
  /**
   * Reward model that the critic begins as: a run, an adapter on the same base, or a folder (default: a
   * new head whose values are 0).
   */
  criticFrom?: string | undefined
  /** Loss of the critic, where there is one. */
  value?:
    | {
        /** Weight of the loss of the critic. Default: `0.1`. */
        coefficient?: number | undefined
        /** Largest change of a value that lowers the loss; null for none. Default: `0.2`. */
        clip?: number | null | undefined
      }
    | undefined
  /** Optimizer steps at the start in which only the critic is trained. Default: `0`. */
  criticWarmup?: number | undefined
  /**
   * Coefficient of the entropy bonus; above 0 it computes all logits of the trained tokens again.
   * Default: `0`.
   */
  entropy?: number | undefined
  /** Weights for answers whose sampling probabilities differ from those of training. */
  importance?:
    | {
        /** A weight for each token, or for each answer: the product of those of its tokens. Default: `token`. */
        level?: 'token' | 'answer' | undefined
        /** Treatment of weights above the cap: set to the cap, or to 0. Default: `truncate`. */
        beyond?: 'truncate' | 'mask' | undefined
        /** Largest weight. Default: `2`. */
        cap?: number | undefined
      }
    | undefined
  /**
   * Answers with a negative advantage whose mean log-ratio to sampling is above this are not learned
   * from.
   */
  offPolicyThreshold?: number | undefined
  /** Learn only from this share of the tokens of the batch, those with the highest entropy. */
  highEntropyShare?: number | undefined
}

/** Settings of `settings` with the objectives raft; each has some of them. */
export interface RaftSettings {
  /** Answers of each prompt to train on, the best first. Default: `1`. */
  keep?: number | undefined
  /** Least reward of an answer to train on, such as 1 for correct ones. */
  minScore?: number | undefined
}

/** Settings of `settings` with the objectives online-dpo; each has some of them. */
export interface OnlineDpoSettings {
  /** Strength of the penalty for leaving the reference model. Default: `0.1`. */
  beta?: number | undefined
  /** Share of pairs whose labels are taken to be wrong (conservative DPO). Default: `0`. */
  labelSmoothing?: number | undefined
  /** Weight of the cross entropy of the chosen answers, per token (0: none). Default: `0`. */
  sftWeight?: number | undefined
  /**
   * WPO: weight pairs by the probability that the policy writes their answers (arXiv:2406.11827).
   * Default: `false`.
   */
  weighting?: boolean | undefined
  /** LD-DPO: weight of the tokens after the length of the shorter answer (arXiv:2409.06411). Default: `1`. */
  tailWeight?: number | undefined
  /** F-DPO: divergence between policy and reference model (arXiv:2309.16240). Default: `reverse-kl`. */
  divergence?: 'reverse-kl' | 'forward-kl' | 'jensen-shannon' | 'alpha' | undefined
  /** F-DPO: alpha of the divergence `alpha`. Default: `0.5`. */
  divergenceAlpha?: number | undefined
  /**
   * TR-DPO: move the reference model towards the policy every so many steps (arXiv:2404.09656; default:
   * never).
   */
  referenceSyncSteps?: number | undefined
  /** TR-DPO: share of the policy in the new reference model; 1 copies the policy. Default: `0.6`. */
  referenceMix?: number | undefined
}

/** An objective of alignment with its settings. */
export type AlignObjectiveChoice =
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective:
        | 'dpo'
        | 'robust-dpo'
        | 'dpo-norm'
        | 'ipo'
        | 'ipo-sum'
        | 'hinge'
        | 'exo'
        | 'discopop'
        | 'nca'
        | 'bco'
        | 'apo-zero'
        | 'apo-down'
        | 'sppo'
        | 'aot'
        | 'aot-unpaired'
        | 'simpo'
        | 'cpo'
        | 'alphapo'
        | 'orpo'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: DpoSettings | undefined
    }
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective: 'kto'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: KtoSettings | undefined
    }
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective:
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
      settings?: PpoSettings | undefined
    }
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective: 'raft'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: RaftSettings | undefined
    }
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective: 'online-dpo'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: OnlineDpoSettings | undefined
    }
  | {
      /** What the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd). */
      objective: 'gkd'
      /** Settings of the objective: beta, label smoothing …. */
      settings?: Record<string, never> | undefined
    }
