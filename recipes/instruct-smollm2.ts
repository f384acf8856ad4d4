// Makes a small language model follow instructions, by LoRA on every linear layer. Only the assistant's tokens are trained, with the end of
// its turn, so that it learns to stop. The data may be in any usual form: instruction and output, messages with roles, trees.
//   INSTRUCTIONS=alpaca.json tunesmith finetune --recipe recipes/instruct-smollm2.ts
// Then talk to it: tunesmith chat --model runs/instruct-smollm2. A base without a chat template is trained on the one that `template` names
// (its end of turn must be a token of the tokenizer), and the template is saved with the tokenizer.
// @source Taori et al. 2023 (Stanford Alpaca); arXiv:2305.14314 (all linear layers, the learning rate)
import { defineRun } from 'tunesmith'

export default defineRun({
  command: 'finetune',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M',
  task: 'instructions',
  settings: { tooLong: 'drop', maxNewTokens: 256 },
  data: process.env.INSTRUCTIONS ?? 'instructions.json',
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32, dropout: 0.05 },
  out: 'runs/instruct-smollm2',
  maxLength: 512,
  // Conversations are packed without padding and do not attend to each other; the loss is a mean over all trained tokens of the batch.
  batch: { sequences: 16, microTokens: 4096 },
  budget: { epochs: 2 },
  learningRate: 2e-4,
  schedule: { type: 'cosine', warmupShare: 0.03 },
  evaluate: { steps: 25 },
  // Checkpoints are chosen by the perplexity of validation answers, which needs no generation.
  answers: { duringTraining: 0, atEnd: 100, samples: 20 },
  checkpoint: { minutes: 10 },
})
