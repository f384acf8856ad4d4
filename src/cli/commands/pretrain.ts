// `tunesmith pretrain`: a recipe as flags, a run on the way, its result in the end. Knows no objective and no model.
import { type PretrainInput, pretrainSchema, pretrain as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { displayRun, renderRun } from '../parts/run-display.ts'

export const pretrain = defineCommand({
  name: 'pretrain',
  summary:
    'Train a model on token shards, from scratch or on from a base; a first Ctrl-C saves and stops, `resume` goes on',
  example:
    'tunesmith pretrain --model.type bert --model.preset mini --objective.type masked-lm --data shards --tokenizer tokenizer --out runs/bert --budget.minutes 10',
  notes: [
    '--model.depth N alone sets the rest by rule: 64 wide a layer, heads of 64, 20 tokens for every parameter of the layers,',
    'a learning rate of 6e-4 at a width of 768 and in inverse proportion to it (at most 3e-3), and a batch of a two-thousandth',
    'of the tokens, to the nearest power of two from 4,096 to 524,288. What is given beside it stays as given.',
    "The architecture's own settings are flags too: --model.config.num-layers 4 --model.config.hidden-size 256.",
  ],
  options: pretrainSchema,
  async run(options, _args, context) {
    const display = displayRun(context, { label: 'pretraining', ...options })
    try {
      return await startRun(options as PretrainInput, display)
    } finally {
      display.stop()
    }
  },
  render: renderRun,
})
