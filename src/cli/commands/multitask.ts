// `tunesmith multitask`: the recipe of a run of several tasks as flags. The work is `multitask` of src/runs.
import { type MultitaskInput, multitaskSchema, multitask as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderRunOrPlan, runOrPlan, trainingFields } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { runExitCode } from '../parts/run-display.ts'

export const multitask = defineCommand({
  name: 'multitask',
  summary: 'Fine-tune one base model on several tasks at once, with a head for each; Ctrl-C saves and stops',
  example:
    'tunesmith multitask --base runs/bert --tasks tone=sequence-classification,data=reviews.csv names=token-classification,data=ner.conll --out runs/both',
  choices: () => recipeChoices('multitask'),
  processes: 'joined',
  options: multitaskSchema.extend(trainingFields),
  run: (options, _args, context) =>
    runOrPlan(options, context, { command: 'multitask', label: 'Fine-tuning' }, (recipe, listener) =>
      startRun(recipe as MultitaskInput, listener),
    ),
  render: renderRunOrPlan(),
  exitCode: runExitCode,
})
