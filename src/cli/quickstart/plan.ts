// What the quickstart trains: recipes, steps and the estimated time of each part. LOG.md has the experiments behind the numbers.
import { join } from 'node:path'
import type { FinetuneInput, PretrainInput } from '../../runs/index.ts'

/** How much is trained. Both sizes tell the same story; `fast` learns less. */
export interface QuickstartPlan {
  name: 'full' | 'fast'
  baseSteps: number
  specialistSteps: number
  /** Estimated seconds on two quiet cores. */
  seconds: { text: number; base: number; run: number; compare: number }
}

export const plans: Record<QuickstartPlan['name'], QuickstartPlan> = {
  full: {
    name: 'full',
    baseSteps: 5000,
    specialistSteps: 150,
    seconds: { text: 8, base: 180, run: 8, compare: 6 },
  },
  fast: {
    name: 'fast',
    baseSteps: 1000,
    specialistSteps: 60,
    seconds: { text: 8, base: 36, run: 4, compare: 6 },
  },
}

/** The plan with at most `maxSteps` steps in each run. */
export const limited = (plan: QuickstartPlan, maxSteps = Number.POSITIVE_INFINITY): QuickstartPlan => ({
  ...plan,
  baseSteps: Math.min(plan.baseSteps, maxSteps),
  specialistSteps: Math.min(plan.specialistSteps, maxSteps),
})

export const vocabSize = 6144

interface TextFolders {
  shards: string
  tokenizer: string
  out: string
}

/**
 * The base of the specialists: a GPT of two layers of 128, which sees millions of tokens in minutes on two cores. It predicts every
 * token from those before it. Masked tokens and replaced tokens taught a BERT and an ELECTRA of this size far less in the same time.
 */
export const baseRecipe = ({ baseSteps }: QuickstartPlan, { shards, tokenizer, out }: TextFolders): PretrainInput => ({
  model: {
    type: 'gpt2',
    config: {
      numLayers: 2,
      hiddenSize: 128,
      numHeads: 4,
      intermediateSize: 512,
      maxPositions: 128,
      // The text is seen a few times only: the model does not overfit, and dropout would only slow learning down.
      embeddingDropout: 0,
      hiddenDropout: 0,
      attentionDropout: 0,
    },
  },
  objective: { type: 'causal-lm' },
  data: shards,
  tokenizer,
  out,
  maxLength: 64,
  batch: { sequences: 16 },
  budget: { steps: baseSteps },
  learningRate: 3e-3,
  schedule: { type: 'linear', warmupShare: 0.1 },
  evaluate: { steps: Math.ceil(baseSteps / 8) },
  validationExamples: 256,
  sample: { steps: Math.ceil(baseSteps / 2) },
  prompts: ['The old man', 'The city of', 'The symptoms of'],
  checkpoint: { minutes: 1 },
})

export interface SpecialistPlan {
  name: string
  /** What the specialist answers, in words for the reader. */
  question: string
  recipe: Omit<FinetuneInput, 'base' | 'out' | 'data' | 'validation'>
  data: string
  validation: string
  /** Texts to show the best run on. */
  texts: string[]
}

/** `pretrained` is true for a model from elsewhere, whose own learning rates are the defaults of the variants. */
export const specialistPlans = ({ specialistSteps }: QuickstartPlan, pretrained: boolean): SpecialistPlan[] => {
  // A model from elsewhere is larger, and needs fewer steps.
  const steps = pretrained ? Math.ceil(specialistSteps / 2) : specialistSteps
  // Evaluated once, at the end.
  const budget = { batch: { sequences: 32 }, budget: { steps }, evaluate: { steps } }
  return [
    {
      name: 'routing',
      question: 'Which of 16 articles answers a question? (SQuAD questions, 320 labels)',
      recipe: {
        task: 'sequence-classification',
        settings: { text: 'question', label: 'article' },
        maxLength: 32,
        ...budget,
      },
      data: 'squad/train.jsonl.gz',
      validation: 'squad/dev.jsonl.gz',
      texts: ['Where do the laws of the member states come from?', 'Which cells fight an infection?'],
    },
    {
      name: 'health',
      question: 'Is a passage about causes, symptoms, treatment …? (MedQuAD, 300 labels)',
      recipe: { task: 'sequence-classification', settings: { label: 'topic' }, maxLength: 64, ...budget },
      data: 'medquad/train.jsonl.gz',
      validation: 'medquad/dev.jsonl.gz',
      texts: [
        'Signs include fever, a rash, and pain in the joints.',
        'Surgery or drugs may be used to remove the tumor.',
      ],
    },
    {
      name: 'names',
      question: 'Where are the names of people, places and organisations? (Wikigold, 400 sentences)',
      recipe: { task: 'token-classification', settings: { format: 'conll' }, maxLength: 96, ...budget },
      data: 'wikigold/train.conll.gz',
      validation: 'wikigold/dev.conll.gz',
      texts: ['In 1912 John Smith moved from London to the University of Chicago .'],
    },
  ]
}

const lora = { variant: 'lora', adapter: { targets: 'all-linear', rank: 8 }, untrainedBaseline: false } as const

/** The runs of each specialist. The last two are equal to the first two but for the weights that they start from. */
export const variantPlans = (pretrained: boolean): Record<string, Partial<FinetuneInput>> => {
  const full = pretrained ? {} : { learningRate: 1e-3 }
  const adapted = pretrained ? lora : { ...lora, learningRate: 2e-3 }
  return {
    full,
    lora: adapted,
    'full-from-random': { ...full, randomInit: true },
    'lora-from-random': { ...adapted, randomInit: true },
  }
}

/** Raw text: books, an encyclopedia, a crawl, and unlabelled text of the specialists' subjects. Short texts skip the filters. */
export const corpusSources = (data: string) => ({
  source: [
    `books:${join(data, 'books')}`,
    `wikipedia:${join(data, '*.xml*.bz2')}`,
    `warc:${join(data, 'crawl/*.warc.gz')}`,
    `jsonl:${join(data, 'crawl/c4.jsonl.bz2')}`,
    ...['squad', 'medquad', 'wikigold'].map((name) => `jsonl:${join(data, name, 'unlabelled.jsonl.bz2')}`),
  ],
  filter: ['length@wikipedia+books', 'language@wikipedia+books:languages='],
  dedup: ['exact'],
})
