// One timed fine-tuning run of ours in a process of its own: `train.ts FOLDER MODEL STEPS [options]`. FOLDER holds instructions.json, whose
// first rows are held for evaluation. LoRA in all linear layers, with the loop and the learner of tasks that write. One JSON line.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport } from '../../src/checkpoint/index.ts'
import { type Model, quantizeWeights } from '../../src/models/index.ts'
import { quantizations } from '../../src/nn/index.ts'
import type { Criterion } from '../../src/objectives/index.ts'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { type TaskDefinition, taskConfig, tasks } from '../../src/tasks/index.ts'
import { type Dtype, noGrad, scope } from '../../src/tensor/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { initialState, runLength, train, trainingSchema } from '../../src/training/index.ts'
import { encode, type Instruction, pack, type Row } from './conversations.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    batch: { type: 'string', default: '4' },
    length: { type: 'string', default: '512' },
    held: { type: 'string', default: '32' },
    frozen: { type: 'string', default: 'float32' },
    dtype: { type: 'string', default: 'float32' },
    template: { type: 'string' },
  },
})
const [folder, path] = positionals
const steps = Number(positionals[2])
const [batch, length, held] = [values.batch, values.length, values.held].map(Number)
const frozen = values.frozen === 'float32' ? undefined : quantizations.find((name) => name === values.frozen)
if (frozen === undefined && values.frozen !== 'float32')
  throw new Error(`Expected float32, ${quantizations.join(', ')} for --frozen, got ${values.frozen}.`)

const tokenizer = await loadTokenizer(path)
const instructions = JSON.parse(readFileSync(join(folder, 'instructions.json'), 'utf8')) as Instruction[]
const examples = instructions.map((instruction) =>
  encode(instruction, tokenizer, { length, template: values.template }),
)
const heldOut = examples.slice(0, held)
const rows = pack(examples.slice(held), length)

const apart = frozen !== undefined
const opened = await loadModelWithReport(path, {
  head: 'causal-lm',
  dtype: apart ? undefined : 'float32',
  mapEachTensor: apart,
})
if (frozen !== undefined) quantizeWeights(opened.model, frozen)
if (values.dtype !== 'float32') opened.model.to({ dtype: values.dtype as Dtype })
const applied = applyAdapter(opened.model, { type: 'lora', targets: 'all-linear', rank: 16, alpha: 32 }, { seed: 0 })
const { model, trainable: parameters } = applied
const task = tasks.instructions as unknown as TaskDefinition
const { criterion: learner } = task.prepare(tokenizer, taskConfig(task, { template: values.template }), {
  maxLength: length,
  headOptions: model.headOptions,
  facts: model.facts,
})
const objective = learner as Criterion<unknown> as Criterion<Row>

/** As Trainer has it: the mean over batches of the mean over a batch's trained tokens. */
const evaluate = (judged: Model): number => {
  judged.eval()
  const batches = Array.from({ length: Math.ceil(heldOut.length / 4) }, (_, i) => heldOut.slice(4 * i, 4 * i + 4))
  const losses = batches.map((part) =>
    noGrad(() =>
      scope(() => {
        const [{ sum, weight }] = objective.loss(judged, objective.collate(part, { padded: false })).terms
        return sum.item() / weight
      }),
    ),
  )
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
}

const settings = trainingSchema.parse({
  batch: { sequences: batch },
  budget: { steps },
  schedule: { type: 'constant' },
})
const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0 }), parameters)

const lossBefore = evaluate(model)
const measured: { ms: number; tokens: number; loss: number }[] = []
let tokens = 0
for await (const event of train({
  trainable: { model, objective, parameters },
  stream: { perEpoch: rows.length, example: (position) => ({ example: rows[position % rows.length], cut: 0 }) },
  optimizer,
  settings,
  learningRate: 2e-4,
  length: runLength(settings.budget, { examplesPerStep: batch, tokensPerStep: 1, examplesPerEpoch: rows.length }),
  state: initialState(settings, model.facts.numLayers),
}) as AsyncGenerator<TrainingEvent>) {
  if (event.type !== 'step') continue
  measured.push({ ms: event.seconds * 1000, tokens: event.tokens - tokens, loss: event.loss })
  tokens = event.tokens
}
const lossAfter = evaluate(model)
console.log(
  JSON.stringify({
    steps: measured,
    lossBefore,
    lossAfter,
    peakMb: process.resourceUsage().maxRSS / 1024,
  }),
)
