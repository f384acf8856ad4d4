// Reinforcement learning with a tool (GRPO): a chat model learns to call a calculator, and to answer with what it says. Its answers have
// several turns: a call, the result, the answer. Only the model's own tokens are learned. The recipe makes its problems:
//   BASE=runs/chat tunesmith align --recipe recipes/tools-arithmetic.ts
// See the turns of the best answers: tunesmith rollouts runs/tools-arithmetic --sort reward --full
// @source Shao et al. 2024, arXiv:2402.03300; tools as in Schick et al. 2023, arXiv:2302.04761
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { defineRun, type RewardSample } from 'tunesmith'
import { calculatorTool, toolEnvironment } from 'tunesmith/alignment'

const out = process.env.OUT ?? 'runs/tools-arithmetic'
const count = Number(process.env.PROBLEMS ?? 2000)

// Products of three digits: few small models compute them without a tool.
const problems = Array.from({ length: count }, (_, i) => {
  const [a, b] = [100 + ((i * 389) % 900), 100 + ((i * 571) % 900)]
  return JSON.stringify({ prompt: [{ role: 'user', content: `What is ${a} times ${b}?` }], answer: String(a * b) })
})
const data = `${out}-problems.jsonl`
await mkdir(dirname(data), { recursive: true })
await writeFile(data, `${problems.join('\n')}\n`)

/** Results come back as turns of the user, for chat templates without the role `tool`. */
const role = 'user'

/** A small reward for a call that worked, so that there is something to learn before the first right answer. */
const called = (samples: readonly RewardSample[]) =>
  samples.map(({ episode }) => {
    const results = (episode?.messages ?? []).filter((turn) => turn.role === role)
    return results.some(({ content }) => !content.startsWith('Error')) ? 0.2 : 0
  })

export default defineRun({
  command: 'align',
  objective: 'grpo',
  base: process.env.BASE ?? 'HuggingFaceTB/SmolLM2-360M-Instruct',
  data,
  environment: toolEnvironment('calculator', [calculatorTool], { role }),
  episode: { maxTurns: 3 },
  rewards: ['numeric-match', called],
  rollout: { prompts: 16, answers: 8, maxNewTokens: 64 },
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 16, alpha: 32 },
  out,
  batch: { sequences: 128, microTokens: 4096 },
  budget: { steps: 200 },
  learningRate: 1e-4,
  schedule: { type: 'constant' },
  evaluate: { steps: 20 },
  checkpoint: { minutes: 10 },
})
