// `tunesmith finetune`: the recipe of a fine-tuning run as flags. The work is `finetune` of src/runs.
import { type FinetuneInput, finetuneSchema, finetune as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderRunOrPlan, runOrPlan, trainingFields } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { runExitCode } from '../parts/run-display.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'

export const finetune = defineCommand({
  name: 'finetune',
  summary: 'Fine-tune a base model on a task; Ctrl-C saves and stops, `resume` continues',
  example:
    'tunesmith finetune --base runs/bert --task sequence-classification --data reviews.jsonl --text-column review --label-column stars --variant lora --adapter.rank 8 --out runs/stars',
  choices: () => recipeChoices('finetune'),
  processes: 'joined',
  options: finetuneSchema.extend(taskColumns).extend(trainingFields),
  run: async (options, _args, context) =>
    runOrPlan(withColumns(options), context, { command: 'finetune', label: 'Fine-tuning' }, (recipe, listener) =>
      startRun(recipe as FinetuneInput, listener),
    ),
  render: renderRunOrPlan('plan finetune'),
  exitCode: runExitCode,
})
