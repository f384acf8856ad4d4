// A small language model of our own that learns to write positive reviews (PPO, GRPO or RLOO), judged by a sentiment classifier of our own. The
// policy reads lower-case sentences of IMDb; the classifier learned from SST-2, and a second one, which no answer is trained on, from IMDb's
// ratings. Set IMDB to the unpacked folder aclImdb, SST2 to the folder of GLUE's files, ENCODER to an encoder, and run the stages in this order:
//   STAGE=base tunesmith pretrain --recipe recipes/ppo-sentiment.ts
//   STAGE=reward tunesmith finetune --recipe recipes/ppo-sentiment.ts
//   STAGE=judge tunesmith finetune --recipe recipes/ppo-sentiment.ts
//   OBJECTIVE=ppo tunesmith align --recipe recipes/ppo-sentiment.ts
// Read what it writes: tunesmith rollouts runs/sentiment/ppo --sort reward
// @source Ziegler et al. 2019, arXiv:1909.08593
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineRun, encodeShards, trainTokenizer } from 'tunesmith'

const { STAGE = 'align', OBJECTIVE = 'ppo', SENTIMENT = 'runs/sentiment' } = process.env
const imdb = process.env.IMDB ?? 'aclImdb'
const encoder = process.env.ENCODER ?? 'sentence-transformers/all-MiniLM-L6-v2'
const sst2 = process.env.SST2 ?? 'SST-2'

interface Review {
  label: 'positive' | 'negative'
  sentences: string[]
}

/** The reviews of a split, by name: without markup, in lower case, as sentences. */
const readReviews = async (split: 'train' | 'test'): Promise<Review[]> => {
  const reviews: Review[] = []
  for (const [folder, label] of [
    ['neg', 'negative'],
    ['pos', 'positive'],
  ] as const)
    for (const name of (await readdir(join(imdb, split, folder))).sort()) {
      const text = await readFile(join(imdb, split, folder, name), 'utf8')
      const plain = text
        .replaceAll(/<br \/>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim()
        .toLowerCase()
      reviews.push({ label, sentences: plain.split(/(?<=[.!?]"?) /) })
    }
  return reviews
}

const words = (text: string) => text.split(' ')
const writeRows = (name: string, rows: readonly object[]) =>
  writeFile(`${SENTIMENT}/${name}.jsonl`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

/** Sentences of 6 to 40 words. */
const sentencesOf = (reviews: readonly Review[]) =>
  reviews.flatMap(({ sentences }) => sentences.filter((one) => words(one).length >= 6 && words(one).length <= 40))

/** Every different beginning of four words. */
const promptsOf = (reviews: readonly Review[]) =>
  [...new Set(sentencesOf(reviews).map((one) => words(one).slice(0, 4).join(' ')))].map((prompt) => ({ prompt }))

/** The last 40 words of each review, where people say what they think. */
const endingsOf = (reviews: readonly Review[]) =>
  reviews.map(({ label, sentences }) => ({ text: words(sentences.join(' ')).slice(-40).join(' '), label }))

await mkdir(SENTIMENT, { recursive: true })
if (STAGE === 'base') {
  const sentences = sentencesOf(await readReviews('train'))
  const { files } = await trainTokenizer(sentences, { type: 'bpe', vocabSize: 2048 })
  await mkdir(`${SENTIMENT}/tokenizer`, { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(`${SENTIMENT}/tokenizer/${name}`, content)
  await encodeShards(sentences, `${SENTIMENT}/tokenizer`, `${SENTIMENT}/shards`, { validation: 0.05 })
}
if (STAGE === 'judge') {
  await writeRows('judge-train', endingsOf(await readReviews('train')))
  await writeRows('judge-test', endingsOf(await readReviews('test')))
}
if (STAGE === 'align') {
  await writeRows('prompts', promptsOf(await readReviews('train')))
  // Settings are chosen with other prompts than the result is measured with.
  const others = promptsOf(await readReviews('test'))
  await writeRows(
    'validation-prompts',
    others.filter((_, i) => i % 2 === 0),
  )
  await writeRows(
    'test-prompts',
    others.filter((_, i) => i % 2 === 1),
  )
}

const noDropout = { embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 }
const answers = 128
const groups: Record<string, number> = { ppo: 1, grpo: 8, rloo: 4 }
// A coefficient of the KL penalty for each objective: GRPO divides rewards by their deviation in a group, which is 2 to 3 here. PPO takes several
// steps on each rollout, and adapts its coefficient.
const penalty = {
  ppo: { adaptiveKl: { target: 6, horizon: 1000 } },
  grpo: { beta: 0.1 },
  rloo: { beta: 0.2 },
}[OBJECTIVE]
const [steps, learningRate] = OBJECTIVE === 'ppo' ? [100, 1e-4] : [60, 2e-4]

const stages = {
  base: () =>
    defineRun({
      model: { type: 'gpt2', config: { numLayers: 4, numHeads: 4, hiddenSize: 128, maxPositions: 64, ...noDropout } },
      objective: { type: 'causal-lm' },
      data: `${SENTIMENT}/shards`,
      tokenizer: `${SENTIMENT}/tokenizer`,
      out: `${SENTIMENT}/base`,
      maxLength: 64,
      batch: { sequences: 32 },
      budget: { steps: 800 },
      learningRate: 2e-3,
      schedule: { type: 'cosine', warmupSteps: 100, floor: 0.1 },
      evaluate: { steps: 500 },
      checkpoint: { minutes: 10 },
      prompts: ['the movie was', 'i think that'],
      sample: { steps: 500 },
    }),
  reward: () =>
    defineRun({
      command: 'finetune',
      base: encoder,
      task: 'sequence-classification',
      dataset: 'sst2',
      data: `${sst2}/train.tsv*`,
      validation: `${sst2}/dev.tsv*`,
      out: `${SENTIMENT}/reward`,
      maxLength: 64,
      batch: { sequences: 32 },
      budget: { steps: 600 },
      learningRate: 5e-5,
      schedule: { type: 'linear', warmupShare: 0.06 },
      checkpoint: { minutes: 10 },
    }),
  judge: () =>
    defineRun({
      command: 'finetune',
      base: encoder,
      task: 'sequence-classification',
      settings: { text: 'text', label: 'label' },
      data: `${SENTIMENT}/judge-train.jsonl`,
      validation: `${SENTIMENT}/judge-test.jsonl`,
      out: `${SENTIMENT}/judge`,
      maxLength: 64,
      batch: { sequences: 32 },
      budget: { epochs: 2 },
      learningRate: 1e-4,
      schedule: { type: 'linear', warmupShare: 0.06 },
      checkpoint: { minutes: 10 },
    }),
  align: () =>
    defineRun({
      command: 'align',
      objective: OBJECTIVE as 'ppo',
      base: `${SENTIMENT}/base`,
      data: `${SENTIMENT}/prompts.jsonl`,
      validation: `${SENTIMENT}/${process.env.SPLIT ?? 'test'}-prompts.jsonl`,
      // The log-odds of the positive class never saturate, as a probability does.
      rewards: [{ type: 'classifier', model: `${SENTIMENT}/reward`, label: 'positive', input: 'text' }],
      judge: { type: 'classifier', model: `${SENTIMENT}/judge`, label: 'positive', output: 'decision' },
      // As many answers in each step with every objective, in groups of one, eight and four.
      rollout: {
        prompts: answers / groups[OBJECTIVE],
        answers: groups[OBJECTIVE],
        maxNewTokens: 32,
        concurrency: answers,
      },
      settings: penalty,
      out: `${SENTIMENT}/${OBJECTIVE}`,
      batch: { sequences: answers },
      budget: { steps },
      learningRate,
      schedule: { type: 'constant' },
      // Prompts that choose nothing: they are answered once, at the end.
      answers: { validation: 500, samples: 500 },
      evaluate: { steps },
      checkpoint: { minutes: 10 },
    }),
}

if (!Object.hasOwn(stages, STAGE))
  throw new Error(`Expected one of ${Object.keys(stages).join(', ')} for STAGE, got ${STAGE}.`)

export default stages[STAGE as keyof typeof stages]()
