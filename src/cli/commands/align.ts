// `tunesmith align`: the recipe of an alignment run as flags. The work is `align` of src/runs.
import { type AlignInput, alignObjectives, alignSchema, align as startRun } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { renderRunOrPlan, runOrPlan, trainingFields } from '../parts/dry-run.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { runExitCode } from '../parts/run-display.ts'

/** Lines of `--help` for the objectives: one each, with what it learns from. */
const objectiveNotes = (): string[] => {
  const objectives = alignObjectives()
  const width = Math.max(...objectives.map(({ type }) => type.length)) + 2
  return [
    'Objectives, with the data that they learn from:',
    ...objectives.map(({ type, data, summary }) => `  ${type.padEnd(width)}${data.padEnd(9)}${summary}`),
  ]
}

export const align = defineCommand({
  name: 'align',
  summary: 'Align a language model with preferences or rewards; Ctrl-C saves and stops, `resume` continues',
  example:
    'tunesmith align --objective dpo --base runs/chat --data preferences.jsonl --variant lora --adapter.rank 16 --settings.beta 0.1 --out runs/aligned',
  notes: objectiveNotes(),
  choices: () => recipeChoices('align'),
  processes: 'joined',
  options: alignSchema.extend(trainingFields),
  run: (options, _args, context) =>
    runOrPlan(options, context, { command: 'align', label: 'Aligning' }, (recipe, listener) =>
      startRun(recipe as AlignInput, listener),
    ),
  render: renderRunOrPlan('plan align'),
  exitCode: runExitCode,
})
