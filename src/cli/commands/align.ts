// `tunesmith align`: the recipe of an alignment run as flags. The work is `align` of src/runs.
import { type AlignInput, alignSchema, align as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { dryRunField, planDryRun, renderRunOrPlan } from '../parts/dry-run.ts'
import { objectiveNotes } from '../parts/objective-notes.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun, runExitCode } from '../parts/run-display.ts'
import { watched, watchFields, watchFlagsOf } from '../parts/run-tracking.ts'

export const align = defineCommand({
  name: 'align',
  summary: 'Align a language model with preferences or rewards; Ctrl-C saves and stops, `resume` continues',
  example:
    'tunesmith align --objective dpo --base runs/chat --data preferences.jsonl --variant lora --adapter.rank 16 --settings.beta 0.1 --out runs/aligned',
  notes: objectiveNotes,
  choices: () => recipeChoices('align'),
  processes: 'joined',
  options: alignSchema.extend(watchFields).extend(dryRunField),
  async run({ dryRun, ...given }, _args, context) {
    const [flags, options] = watchFlagsOf(given)
    if (dryRun) return planDryRun({ ...options, command: 'align' })
    const display = displayRun(context, { label: 'Aligning', ...options })
    try {
      return await watched(context, flags, (listener) => startRun(options as AlignInput, { ...display, ...listener }))
    } finally {
      display.stop()
    }
  },
  render: renderRunOrPlan('plan align'),
  exitCode: runExitCode,
})
