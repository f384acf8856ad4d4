// Reinforcement learning with a verifiable reward (GRPO): a small model of our own that adds, at first wrong most of the time. STAGE pretrain
// teaches it equations of which most are wrong; STAGE grpo rewards right answers until it is right. The recipe makes tokenizer and data:
//   STAGE=pretrain tunesmith pretrain --recipe recipes/grpo-arithmetic.ts
//   tunesmith align --recipe recipes/grpo-arithmetic.ts
// @source Shao et al. 2024, arXiv:2402.03300
import { mkdir, writeFile } from 'node:fs/promises'
import { defineRun, encodeShards, loadTokenizer, saveTokenizer } from 'tunesmith'

const folder = process.env.ARITHMETIC ?? 'runs/arithmetic'
const count = Number(process.env.EQUATIONS ?? 50_000)

/** Numbers that look random and are the same in every run. */
let state = 12345
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state % below
}

const problems = Array.from({ length: count }, () => [random(50), random(50)] as const)
const characters = [...'0123456789+=']
const stage = process.env.STAGE ?? 'grpo'

if (stage === 'pretrain') {
  // Every character is a token, and one more ends a text.
  const tokenizer = await loadTokenizer(
    {
      version: '1.0',
      added_tokens: [
        { id: 0, content: '<end>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
      ],
      normalizer: null,
      pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: {
        type: 'WordLevel',
        vocab: Object.fromEntries(['<end>', ...characters, '<unk>'].map((character, id) => [character, id])),
        unk_token: '<unk>',
      },
    },
    { config: { eos_token: '<end>' } },
  )
  await mkdir(folder, { recursive: true })
  await saveTokenizer(tokenizer, `${folder}/tokenizer`)
  // A fifth of the sums is right; the others are near.
  const equations = problems.map(
    ([a, b]) => `${a}+${b}=${random(5) === 0 ? a + b : Math.max(0, a + b + random(9) - 4)}`,
  )
  await encodeShards(equations, `${folder}/tokenizer`, `${folder}/shards`, { validation: 0.05, end: '' })
}
if (stage === 'grpo') {
  const rows = problems.slice(0, 2000).map(([a, b]) => JSON.stringify({ prompt: `${a}+${b}=`, answer: `${a + b}` }))
  await writeFile(`${folder}/problems.jsonl`, `${[...new Set(rows)].join('\n')}\n`)
}

const model = { numLayers: 4, numHeads: 4, hiddenSize: 128, maxPositions: 32 }

export default stage === 'pretrain'
  ? defineRun({
      model: { type: 'gpt2', config: { ...model, embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 } },
      objective: { type: 'causal-lm' },
      data: `${folder}/shards`,
      tokenizer: `${folder}/tokenizer`,
      out: `${folder}/base`,
      maxLength: 32,
      batch: { sequences: 64 },
      budget: { steps: 3000 },
      learningRate: 1e-3,
      schedule: { type: 'cosine', warmupSteps: 100, floor: 0.1 },
      evaluate: { steps: 500 },
    })
  : defineRun({
      command: 'align',
      objective: 'grpo',
      base: `${folder}/base`,
      data: `${folder}/problems.jsonl`,
      rewards: ['numeric-match'],
      rollout: { prompts: 32, answers: 8, maxNewTokens: 5 },
      out: `${folder}/grpo`,
      batch: { sequences: 256 },
      budget: { steps: 400 },
      learningRate: 5e-5,
      schedule: { type: 'constant' },
      answers: { validation: 200 },
      evaluate: { steps: 25 },
      checkpoint: { minutes: 10 },
    })
