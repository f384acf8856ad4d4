// `tunesmith multitask`: the recipe of a run of several tasks as flags. The work is `multitask` of src/runs.
import { type MultitaskInput, multitaskSchema, multitask as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { dryRunField, planDryRun, renderRunOrPlan } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun, runExitCode } from '../parts/run-display.ts'
import { watched, watchFields, watchFlagsOf } from '../parts/run-tracking.ts'

export const multitask = defineCommand({
  name: 'multitask',
  summary: 'Fine-tune one base model on several tasks at once, with a head for each; Ctrl-C saves and stops',
  example:
    'tunesmith multitask --base runs/bert --tasks tone=sequence-classification,data=reviews.csv names=token-classification,data=ner.conll --out runs/both',
  choices: () => recipeChoices('multitask'),
  processes: 'joined',
  options: multitaskSchema.extend(watchFields).extend(dryRunField),
  async run({ dryRun, ...given }, _args, context) {
    const [flags, recipe] = watchFlagsOf(given)
    if (dryRun) return planDryRun({ ...recipe, command: 'multitask' })
    const display = displayRun(context, { label: 'Fine-tuning', ...recipe })
    try {
      return await watched(context, flags, (listener) =>
        startRun(recipe as MultitaskInput, { ...display, ...listener }),
      )
    } finally {
      display.stop()
    }
  },
  render: renderRunOrPlan(),
  exitCode: runExitCode,
})
