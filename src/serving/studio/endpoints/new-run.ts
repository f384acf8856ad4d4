// The form of a new run: its schemas, its check and its plan while it is filled in, and its start.
import { z } from 'zod'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint, type StudioRequest } from '../endpoint.ts'
import { formSchemas, recipeForm } from '../new-run/recipe-form.ts'
import { commandLineOf } from '../new-run/recipe-words.ts'
import { faultsOf, importsModules, startCommand, startRun } from '../new-run/start-run.ts'
import type { FormCommand, RecipeCheck, RecipeForm, RecipePlan, StartAnswer } from '../types/new-run-types.ts'

/** The command that the path names. @throws ApiError for another one */
const commandOf = ({ param }: Pick<StudioRequest<unknown, unknown>, 'param'>): FormCommand => {
  const parsed = startCommand.safeParse(param('command'))
  if (parsed.success) return parsed.data
  throw new ApiError(404, `Expected ${startCommand.options.join(', ')} for the command, got ${param('command')}.`)
}

const body = z.strictObject({ recipe: z.record(z.string(), z.unknown()).describe('settings that are not by default') })

export const newRunForm = defineStudioEndpoint({
  method: 'get',
  path: '/api/new-run/:command',
  summary: 'Describe the form of a new run: its settings with help, defaults, ranges and choices',
  answer: (request): Promise<RecipeForm> => recipeForm(commandOf(request), request.studio.runs),
})

export const checkNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/check',
  summary: 'Check a recipe, and write it as a command line',
  body,
  answer(request): RecipeCheck {
    const command = commandOf(request)
    const { recipe } = request.body
    return {
      faults: faultsOf(command, recipe),
      commandLine: commandLineOf(command, recipe, formSchemas(command)),
    }
  },
})

export const planNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/plan',
  summary: 'Plan a recipe: memory, FLOPs and, where the speed of the machine is known, time',
  body,
  answer(request): RecipePlan | Promise<RecipePlan> {
    const command = commandOf(request)
    const { recipe } = request.body
    // The form plans by itself, and a recipe may be that of a run from somebody else: its code runs only once it is started.
    if (importsModules(recipe))
      return { plan: null, fault: 'A recipe with modules of its own is planned when it starts.' }
    return request.studio.planner.plan({ ...recipe, command })
  },
})

export const startNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/start',
  summary: 'Write the recipe of a run and start it in a process of its own',
  body,
  answer: (request): Promise<StartAnswer> => startRun(request.studio.runs, commandOf(request), request.body.recipe),
})
