// `tunesmith pretrain`: the recipe of a pretraining run as flags. The work is `pretrain` of src/runs.
import { type PretrainInput, pretrainSchema, pretrain as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderRunOrPlan, runOrPlan, trainingFields } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { runExitCode } from '../parts/run-display.ts'

export const pretrain = defineCommand({
  name: 'pretrain',
  summary: 'Pretrain a model on token shards, from scratch or from a base; Ctrl-C saves and stops, `resume` continues',
  example:
    'tunesmith pretrain --model.type bert --model.preset mini --objective.type masked-lm --data shards --tokenizer tokenizer --out runs/bert --budget.minutes 10',
  notes: [
    '--model.depth N sets everything else by rule: hidden size 64 N, heads of 64, 20 tokens per parameter of the layers, a learning rate of 6e-4 x 768 / hidden size (at most 3e-3), and a batch of 1/2000 of the tokens, rounded to a power of two between 4,096 and 524,288. Settings that you give beside it are kept.',
    "The architecture's own settings are flags too: --model.config.num-layers 4 --model.config.hidden-size 256.",
  ],
  choices: () => recipeChoices('pretrain'),
  processes: 'joined',
  options: pretrainSchema.extend(trainingFields),
  run: (options, _args, context) =>
    runOrPlan(options, context, { command: 'pretrain', label: 'Pretraining' }, (recipe, listener) =>
      startRun(recipe as PretrainInput, listener),
    ),
  render: renderRunOrPlan('plan pretrain'),
  exitCode: runExitCode,
})
