// Short runs that plans are compared with: architectures, fine-tuning methods, precisions, objectives and alignment. The runs of `first` were
// looked at while the planner was written; those of `second` were chosen after it was done. Those of `rollouts` write their own answers.
import type { PlannerData } from './data.ts'

/** A recipe without folder, or a function of the folders of earlier runs. */
type Recipe = (data: PlannerData, runOf: (name: string) => string) => { command: string } & Record<string, unknown>

export interface PlannerCase {
  set: 'first' | 'second' | 'rollouts'
  recipe: Recipe
}

const size = { hiddenSize: 256, numLayers: 4, numHeads: 4 }
const gated = { ...size, intermediateSize: 768, numKvHeads: 2 }
const encoder = { ...size, intermediateSize: 1024, maxPositions: 256 }

interface Pretraining {
  type: string
  config: object
  objective?: string
  tokenizer?: 'bpe' | 'wordpiece'
  more?: object
}

/** A run of a few steps on rows of 128 tokens. */
const pretraining =
  ({ type, config, objective = 'causal-lm', tokenizer = 'bpe', more = {} }: Pretraining): Recipe =>
  ({ shards }) => ({
    command: 'pretrain',
    model: { type, preset: 'test', config },
    objective: { type: objective },
    ...shards[tokenizer],
    maxLength: 128,
    batch: { sequences: 16, microTokens: 1024 },
    budget: { steps: 6 },
    ...more,
  })

const steps = { batch: { sequences: 16, microTokens: 1024 }, budget: { steps: 6 } }

/** A run on the model of an earlier one. */
const tuning =
  (base: string, task: string, file: keyof PlannerData, more: object = {}): Recipe =>
  (data, runOf) => ({ command: 'finetune', base: runOf(base), task, data: data[file], ...steps, ...more })

const aligning =
  (base: string, objective: string, more: object = {}): Recipe =>
  (data, runOf) => ({
    command: 'align',
    objective,
    base: runOf(base),
    data: objective === 'kto' ? data.ratings : data.pairs,
    ...steps,
    ...more,
  })

/** A run that writes answers of up to 64 tokens. */
const rewarded =
  (base: string, objective: string, more: object = {}): Recipe =>
  (data, runOf) => ({
    command: 'align',
    objective,
    base: runOf(base),
    data: data.prompts,
    rewards: [{ type: 'length', target: 20 }],
    rollout: { prompts: 8, maxNewTokens: 64 },
    batch: { microTokens: 1024 },
    budget: { steps: 6 },
    ...more,
  })

const writing = (recipe: Recipe): PlannerCase => ({ set: 'rollouts', recipe })

const first = (recipe: Recipe): PlannerCase => ({ set: 'first', recipe })

const second = (recipe: Recipe): PlannerCase => ({ set: 'second', recipe })

/** Runs by name; those that others start from come before them. */
export const plannerCases: Readonly<Record<string, PlannerCase>> = {
  'gpt2, causal': first(pretraining({ type: 'gpt2', config: { ...size, maxPositions: 256 } })),
  'llama, bfloat16': first(pretraining({ type: 'llama', config: gated, more: { precision: 'bfloat16' } })),
  'bert, masked': first(pretraining({ type: 'bert', config: encoder, objective: 'masked-lm', tokenizer: 'wordpiece' })),
  't5, span corruption': first(
    pretraining({ type: 't5', config: { ...size, intermediateSize: 768 }, objective: 'span-corruption' }),
  ),
  'qwen3, average of weights, Lion': first(
    pretraining({
      type: 'qwen3',
      config: { ...gated, headDim: 64 },
      more: { average: {}, optimizer: { type: 'lion' } },
    }),
  ),
  'electra, replaced tokens': first(
    pretraining({
      type: 'electra',
      config: encoder,
      objective: 'replaced-token-detection',
      tokenizer: 'wordpiece',
    }),
  ),
  'gpt2, all layers recomputed, Muon': first(
    pretraining({
      type: 'gpt2',
      config: { ...size, maxPositions: 256 },
      more: { recompute: 'all', optimizer: { type: 'muon' } },
    }),
  ),
  'bert, classification, full': first(tuning('bert, masked', 'sequence-classification', 'labels')),
  'bert, classification, LoRA': first(tuning('bert, masked', 'sequence-classification', 'labels', { variant: 'lora' })),
  'bert, tags, bfloat16': first(tuning('bert, masked', 'token-classification', 'words', { precision: 'bfloat16' })),
  'gpt2, instructions, full': first(tuning('gpt2, causal', 'instructions', 'chats')),
  'llama, instructions, LoRA on NF4': first(
    tuning('llama, bfloat16', 'instructions', 'chats', { variant: 'lora', frozenWeights: 'nf4' }),
  ),
  't5, summaries, full': first(tuning('t5, span corruption', 'summarization', 'summaries')),
  'llama, DPO, LoRA': first(aligning('llama, bfloat16', 'dpo', { variant: 'lora' })),
  'gpt2, DPO, full': first(aligning('gpt2, causal', 'dpo')),
  'gpt2, KTO, LoRA': first(aligning('gpt2, causal', 'kto', { variant: 'lora' })),
  'gpt-neox, causal, bfloat16': second(
    pretraining({ type: 'gpt-neox', config: { ...encoder }, more: { precision: 'bfloat16' } }),
  ),
  'modernbert, masked': second(
    pretraining({
      type: 'modernbert',
      config: { ...size, intermediateSize: 768 },
      objective: 'masked-lm',
      tokenizer: 'wordpiece',
    }),
  ),
  'gemma3, causal, rows of 256': second(
    pretraining({
      type: 'gemma3',
      config: { ...gated, headDim: 64, slidingWindow: 64 },
      more: { maxLength: 256, batch: { sequences: 12, microTokens: 2048 } },
    }),
  ),
  'phi3, causal, bfloat16, average of weights': second(
    pretraining({ type: 'phi3', config: gated, more: { precision: 'bfloat16', average: {} } }),
  ),
  'olmo2, causal, Adafactor': second(
    pretraining({ type: 'olmo2', config: gated, more: { optimizer: { type: 'adafactor' } } }),
  ),
  'smollm3, causal, two layers recomputed, SGD': second(
    pretraining({ type: 'smollm3', config: gated, more: { recompute: 2, optimizer: { type: 'sgd' } } }),
  ),
  'distilbert, masked, padded': second(
    pretraining({
      type: 'distilbert',
      config: encoder,
      objective: 'masked-lm',
      tokenizer: 'wordpiece',
      more: { batch: { sequences: 16, microTokens: 1024, padded: true } },
    }),
  ),
  'bert, classification, BitFit': second(
    tuning('bert, masked', 'sequence-classification', 'labels', { variant: 'bitfit' }),
  ),
  'bert, classification, Houlsby, bfloat16': second(
    tuning('bert, masked', 'sequence-classification', 'labels', { variant: 'houlsby', precision: 'bfloat16' }),
  ),
  'modernbert, tags, full': second(tuning('modernbert, masked', 'token-classification', 'words')),
  'gpt2, instructions, prefix tuning': second(
    tuning('gpt2, causal', 'instructions', 'chats', { variant: 'prefix-tuning' }),
  ),
  'gpt-neox, instructions, LoRA on int8': second(
    tuning('gpt-neox, causal, bfloat16', 'instructions', 'chats', { variant: 'lora', frozenWeights: 'int8' }),
  ),
  't5, summaries, LoRA': second(tuning('t5, span corruption', 'summarization', 'summaries', { variant: 'lora' })),
  'phi3, instructions, full, all layers recomputed': second(
    tuning('phi3, causal, bfloat16, average of weights', 'instructions', 'chats', { recompute: 'all' }),
  ),
  'llama, ORPO, full': second(aligning('llama, bfloat16', 'orpo')),
  'gpt2, SimPO, LoRA, bfloat16': second(aligning('gpt2, causal', 'simpo', { variant: 'lora', precision: 'bfloat16' })),
  'phi3, KTO, full': second(aligning('phi3, causal, bfloat16, average of weights', 'kto')),
  'gpt2, IPO, LoRA, three layers recomputed': second(
    aligning('gpt2, causal', 'ipo', { variant: 'lora', recompute: 3 }),
  ),
  'gpt2, GRPO, full': writing(rewarded('gpt2, causal', 'grpo')),
  'llama, GRPO, LoRA': writing(rewarded('llama, bfloat16', 'grpo', { variant: 'lora' })),
  'gpt2, RLOO, LoRA': writing(rewarded('gpt2, causal', 'rloo', { variant: 'lora' })),
  'gpt2, PPO, full': writing(rewarded('gpt2, causal', 'ppo', { rollout: { prompts: 32, maxNewTokens: 64 } })),
  'llama, PPO, LoRA, a judge of rewards': writing((data, runOf) =>
    rewarded('llama, bfloat16', 'ppo', {
      variant: 'lora',
      rollout: { prompts: 32, maxNewTokens: 64 },
      rewards: [{ type: 'classifier', model: runOf('bert, classification, full'), label: 'class 0' }],
    })(data, runOf),
  ),
}
