// `tunesmith finetune`: the recipe of a fine-tuning run as flags. The work is `finetune` of src/runs.
import { type FinetuneInput, finetuneSchema, finetune as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { dryRunField, planDryRun, renderRunOrPlan } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun, runExitCode } from '../parts/run-display.ts'
import { watched, watchFields, watchFlagsOf } from '../parts/run-tracking.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'

export const finetune = defineCommand({
  name: 'finetune',
  summary: 'Fine-tune a base model on a task; Ctrl-C saves and stops, `resume` continues',
  example:
    'tunesmith finetune --base runs/bert --task sequence-classification --data reviews.jsonl --text-column review --label-column stars --variant lora --adapter.rank 8 --out runs/stars',
  choices: () => recipeChoices('finetune'),
  processes: 'joined',
  options: finetuneSchema.extend(taskColumns).extend(watchFields).extend(dryRunField),
  async run(options, _args, context) {
    const { dryRun, textColumn, pairColumn, labelColumn, ...given } = options
    const [flags, recipe] = watchFlagsOf(given)
    const settings = withColumns(recipe.task, { textColumn, pairColumn, labelColumn }, recipe.settings)
    if (dryRun) return planDryRun({ ...recipe, settings, command: 'finetune' })
    const display = displayRun(context, { label: 'Fine-tuning', ...recipe })
    try {
      return await watched(context, flags, (listener) =>
        startRun({ ...recipe, settings } as FinetuneInput, { ...display, ...listener }),
      )
    } finally {
      display.stop()
    }
  },
  render: renderRunOrPlan('plan finetune'),
  exitCode: runExitCode,
})
