// Reinforcement learning with a verifiable reward (GRPO): a small model of our own that adds, at first wrong most of the time. STAGE pretrain
// teaches it equations of which most are wrong; STAGE grpo rewards right answers. The recipe makes tokenizer and data:
//   STAGE=pretrain tunesmith pretrain --recipe recipes/grpo-arithmetic.ts
//   tunesmith align --recipe recipes/grpo-arithmetic.ts --seed 1
// Test sums are answered once, after the last step; to choose settings, SPLIT=validation and --evaluate.steps 25.
// @source Shao et al. 2024, arXiv:2402.03300
import { mkdir, writeFile } from 'node:fs/promises'
import { defineRun, encodeShards, loadTokenizer, saveTokenizer } from 'tunesmith'

const folder = process.env.ARITHMETIC ?? 'runs/arithmetic'
const count = Number(process.env.EQUATIONS ?? 400_000)

/** Numbers that look random and are the same in every run. */
let state = 12345
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  // The low bits repeat soon.
  return Math.floor((state / 2 ** 32) * below)
}

// All sums of two numbers below 50 in random order. Test data and the sums that settings are chosen with are a tenth each, and in no stage's
// training data.
const sums = Array.from({ length: 2500 }, (_, i) => [Math.floor(i / 50), i % 50] as const)
for (let i = sums.length - 1; i > 0; i--) {
  const j = random(i + 1)
  ;[sums[i], sums[j]] = [sums[j], sums[i]]
}
const parts = { test: sums.slice(0, 250), validation: sums.slice(250, 500), problems: sums.slice(500) }
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
  // One result in seven is right; the others are too large, most of them by one or two.
  const mistakes = [0, 1, 1, 2, 2, 3, 10]
  const equations = Array.from({ length: count }, () => {
    const [a, b] = parts.problems[random(parts.problems.length)]
    return `${a}+${b}=${a + b + mistakes[random(mistakes.length)]}`
  })
  await encodeShards(equations, `${folder}/tokenizer`, `${folder}/shards`, { validation: 0.05, end: '' })
}
if (stage === 'grpo') {
  for (const [name, chosen] of Object.entries(parts)) {
    const rows = chosen.map(([a, b]) => JSON.stringify({ prompt: `${a}+${b}=`, answer: `${a + b}` }))
    await writeFile(`${folder}/${name}.jsonl`, `${rows.join('\n')}\n`)
  }
}

const steps = 200
const model = { numLayers: 4, numHeads: 4, hiddenSize: 128, maxPositions: 32 }

export default stage === 'pretrain'
  ? defineRun({
      model: { type: 'gpt2', config: { ...model, embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 } },
      objective: { type: 'causal-lm' },
      data: `${folder}/shards`,
      tokenizer: `${folder}/tokenizer`,
      out: `${folder}/base`,
      maxLength: 32,
      batch: { sequences: 32 },
      budget: { steps: 1500 },
      learningRate: 2e-3,
      schedule: { type: 'cosine', warmupSteps: 100, floor: 0.1 },
      evaluate: { steps: 500 },
    })
  : defineRun({
      command: 'align',
      objective: 'grpo',
      base: `${folder}/base`,
      data: `${folder}/problems.jsonl`,
      validation: `${folder}/${process.env.SPLIT ?? 'test'}.jsonl`,
      rewards: ['numeric-match'],
      rollout: { prompts: 32, answers: 16, maxNewTokens: 5, concurrency: 512 },
      out: `${folder}/grpo`,
      batch: { sequences: 512 },
      budget: { steps },
      learningRate: 3e-4,
      schedule: { type: 'linear', warmupSteps: 10 },
      answers: { validation: 250 },
      evaluate: { steps },
      checkpoint: { minutes: 10 },
    })
