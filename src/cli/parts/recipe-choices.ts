// The choices of recipes, for help: the settings of a task, a variant, an objective or an architecture.
import { recipeParts } from '../../runs/index.ts'
import type { HelpChoice } from '../command.ts'

/** What `--help` shows only with the choice that has it. */
export const recipeChoices = (command: keyof ReturnType<typeof recipeParts>): HelpChoice[] =>
  recipeParts()[command].parts.map(({ choice, part, schemas }) => ({
    choice: choice.join('.'),
    part: part.join('.'),
    schemas,
  }))

/** The settings of every task. */
export const taskSchemas = (): HelpChoice['schemas'] =>
  recipeParts().finetune.parts.find(({ choice }) => choice[0] === 'task')!.schemas
