// The InstructGPT recipe in three runs, each named by STAGE: supervised fine-tuning on conversations, a reward model on comparisons, and PPO
// against that reward model. Set CONVERSATIONS and COMPARISONS to the files:
//   STAGE=sft tunesmith finetune --recipe recipes/rlhf.ts
//   STAGE=reward tunesmith finetune --recipe recipes/rlhf.ts
//   STAGE=ppo tunesmith align --recipe recipes/rlhf.ts
// @source Ouyang et al. 2022, arXiv:2203.02155
import { defineRun } from 'tunesmith'

const { STAGE = 'sft', OUT = 'runs/rlhf', BASE = 'HuggingFaceTB/SmolLM2-135M' } = process.env
const conversations = process.env.CONVERSATIONS ?? 'conversations.jsonl'
const comparisons = process.env.COMPARISONS ?? 'comparisons.jsonl'

const stages = {
  sft: () =>
    defineRun({
      command: 'finetune',
      base: BASE,
      task: 'instructions',
      settings: { template: 'chatml', tooLong: 'drop', maxNewTokens: 128 },
      data: conversations,
      out: `${OUT}/sft`,
      maxLength: 512,
      batch: { sequences: 16, microTokens: 4096 },
      budget: { epochs: 1 },
      learningRate: 2e-5,
      answers: { duringTraining: 0, atEnd: 20, samples: 10 },
      checkpoint: { minutes: 10 },
    }),
  // The reward model begins as the fine-tuned model, so that it reads the same conversations.
  reward: () =>
    defineRun({
      command: 'finetune',
      base: `${OUT}/sft/model`,
      task: 'reward',
      settings: { centering: 0.01, onFault: 'skip' },
      data: comparisons,
      variant: 'lora',
      adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
      out: `${OUT}/reward`,
      maxLength: 512,
      batch: { sequences: 16, microTokens: 4096 },
      budget: { epochs: 1 },
      learningRate: 1e-4,
      checkpoint: { minutes: 10 },
    }),
  // Policy, critic and reward model are adapters on one frozen base, which is their reference too. The critic begins as the reward model.
  ppo: () =>
    defineRun({
      command: 'align',
      objective: 'ppo',
      base: `${OUT}/sft/model`,
      data: comparisons,
      columns: { onFault: 'skip' },
      rewards: [{ type: 'reward-model', model: `${OUT}/reward` }],
      rollout: { prompts: 32, maxNewTokens: 128 },
      settings: { beta: 0.05, shaping: { missingEndPenalty: 1 }, criticFrom: `${OUT}/reward`, criticWarmup: 4 },
      variant: 'lora',
      adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
      out: `${OUT}/ppo`,
      batch: { sequences: 32, microTokens: 4096 },
      budget: { steps: 200 },
      learningRate: 5e-5,
      checkpoint: { minutes: 10 },
    }),
}

if (!Object.hasOwn(stages, STAGE))
  throw new Error(`Expected one of ${Object.keys(stages).join(', ')} for STAGE, got ${STAGE}.`)

export default stages[STAGE as keyof typeof stages]()
