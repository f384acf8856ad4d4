// One base and four specialists, each a LoRA of a few megabytes beside it: sentiment (SST-2), entities (WNUT-17), answers (SQUAD 1.1) and
// similarity of sentences (STS-B). Each is a run of its own, which SPECIALIST names. Set SST2, WNUT17, SQUAD, STSB and BASE to their paths:
//   for s in sentiment entities answers similarity; do SPECIALIST=$s tunesmith finetune --recipe recipes/one-base-many-adapters.ts; done
// Then one process keeps the base in memory once, and all specialists answer by name, with lines of JSON in and out:
//   echo '{"specialist": "sentiment", "text": "A quiet, lovely film."}' | tunesmith specialists --base google-bert/bert-base-uncased \
//     --specialist sentiment=runs/many/sentiment --specialist entities=runs/many/entities --specialist answers=runs/many/answers \
//     --specialist similarity=runs/many/similarity --input -
// @source Hu et al. 2021, arXiv:2106.09685, section 4.2: many tasks by switching the small matrices over one shared base
import { defineRun } from 'tunesmith'

const { SST2 = 'sst2', WNUT17 = 'emerging_entities_17', SQUAD = 'squad', STSB = 'sts-b', BASE } = process.env

const specialists = {
  sentiment: {
    task: 'sequence-classification',
    dataset: 'sst2',
    data: `${SST2}/train.tsv*`,
    validation: `${SST2}/dev.tsv*`,
    maxLength: 128,
    budget: { epochs: 2 },
  },
  entities: {
    task: 'token-classification',
    dataset: 'wnut17',
    data: `${WNUT17}/wnut17train.conll*`,
    validation: `${WNUT17}/emerging.dev.conll*`,
    maxLength: 128,
    budget: { epochs: 6 },
  },
  answers: {
    task: 'extractive-qa',
    dataset: 'squad',
    data: `${SQUAD}/train-v1.1.json*`,
    validation: `${SQUAD}/dev-v1.1.json*`,
    maxLength: 384,
    budget: { epochs: 2 },
  },
  similarity: {
    task: 'regression',
    dataset: 'sts-b',
    data: `${STSB}/sts-train.tsv*`,
    validation: `${STSB}/sts-dev.tsv*`,
    maxLength: 128,
    budget: { epochs: 6 },
  },
} as const

const name = (process.env.SPECIALIST ?? 'sentiment') as keyof typeof specialists
if (!Object.hasOwn(specialists, name))
  throw new Error(`Expected one of ${Object.keys(specialists).join(', ')} for SPECIALIST, got ${name}.`)

export default defineRun({
  command: 'finetune',
  base: BASE ?? 'google-bert/bert-base-uncased',
  ...specialists[name],
  variant: 'lora',
  adapter: { targets: 'all-linear', rank: 8, alpha: 16, dropout: 0.05 },
  out: `runs/many/${name}`,
  batch: { sequences: 32 },
  learningRate: 5e-4,
  schedule: { type: 'linear', warmupShare: 0.06 },
  checkpoint: { minutes: 10 },
})
