// A small language model that learns to write positive reviews (PPO), judged by a sentiment classifier of your own. Policy and critic are
// adapters on one frozen base. Make the judge first: tunesmith finetune --recipe recipes/bert-sst2.ts
// The prompts are beginnings of reviews; set REVIEWS to a file of texts with a column `text`, and BASE to a language model:
//   BASE=runs/gpt REVIEWS=reviews.jsonl JUDGE=runs/bert-sst2 tunesmith align --recipe recipes/ppo-sentiment.ts
// Read what it writes: tunesmith rollouts runs/ppo-sentiment --sort reward
// @source Ziegler et al. 2019, arXiv:1909.08593
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { defineRun } from 'tunesmith'

const out = process.env.OUT ?? 'runs/ppo-sentiment'
const judge = process.env.JUDGE ?? 'runs/bert-sst2'

// The first words of each review are a prompt.
const prompts = `${out}-prompts.jsonl`
const lines = (await readFile(process.env.REVIEWS ?? 'reviews.jsonl', 'utf8')).split('\n').filter((line) => line !== '')
const beginnings = lines.map((line) => {
  const { text } = JSON.parse(line) as { text: string }
  return JSON.stringify({ prompt: text.split(/\s+/).slice(0, 5).join(' ') })
})
await mkdir(out.split('/').slice(0, -1).join('/') || '.', { recursive: true })
await writeFile(prompts, `${[...new Set(beginnings)].join('\n')}\n`)

export default defineRun({
  command: 'align',
  objective: 'ppo',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-135M',
  data: prompts,
  // The log-odds of the positive class never saturate, as a probability does.
  rewards: [{ type: 'classifier', model: judge, label: process.env.LABEL ?? 'positive', input: 'text' }],
  rollout: { prompts: 64, maxNewTokens: 24 },
  settings: { beta: 0.05, adaptiveKl: { target: 6 }, criticWarmup: 4 },
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
  out,
  batch: { sequences: 64, microTokens: 4096 },
  budget: { steps: 400 },
  learningRate: 1e-4,
  schedule: { type: 'linear', warmupShare: 0.02 },
  checkpoint: { minutes: 10 },
})
