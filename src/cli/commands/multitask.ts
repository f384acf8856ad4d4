// `tunesmith multitask`: the recipe of a run of several tasks as flags. The work is `multitask` of src/runs.
import { type MultitaskInput, multitaskSchema, planRun, multitask as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { dryRunField, renderRunOrPlan } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun, runExitCode } from '../parts/run-display.ts'
import { studioFields, withStudio } from '../parts/run-studio.ts'

export const multitask = defineCommand({
  name: 'multitask',
  summary: 'Fine-tune one base model on several tasks at once, with a head for each; Ctrl-C saves and stops',
  example:
    'tunesmith multitask --base runs/bert --tasks tone=sequence-classification,data=reviews.csv names=token-classification,data=ner.conll --out runs/both',
  choices: () => recipeChoices('multitask'),
  processes: 'joined',
  options: multitaskSchema.extend(studioFields).extend(dryRunField),
  async run({ ui, uiPort, dryRun, ...recipe }, _args, context) {
    if (dryRun) return planRun({ ...recipe, command: 'multitask' })
    const display = displayRun(context, { label: 'Fine-tuning', ...recipe })
    try {
      return await withStudio(context, { ui, uiPort }, (watched) =>
        startRun(recipe as MultitaskInput, { ...display, ...watched }),
      )
    } finally {
      display.stop()
    }
  },
  render: renderRunOrPlan,
  exitCode: runExitCode,
})
