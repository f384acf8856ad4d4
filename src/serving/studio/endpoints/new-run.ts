// The form of a new run: its schemas, its check and its plan while it is filled in, and its start.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { recipeFaults } from '../../../runs/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import { defineStudioEndpoint, type StudioRequest } from '../endpoint.ts'
import type { FormCommand, RecipeCheck, RecipeFault, RecipeForm, RecipePlan, StartAnswer } from '../new-run-types.ts'
import { formSchemas, recipeForm } from '../recipe-form.ts'
import { commandLineOf } from '../recipe-words.ts'
import type { Studio } from '../studio.ts'

const commandSchema = z.enum(['pretrain', 'finetune', 'align'])

/** The command that the path names. @throws ApiError for another one */
const commandOf = ({ param }: Pick<StudioRequest<unknown, unknown>, 'param'>): FormCommand => {
  const parsed = commandSchema.safeParse(param('command'))
  if (parsed.success) return parsed.data
  throw new ApiError(404, `Expected ${commandSchema.options.join(', ')} for the command, got ${param('command')}.`)
}

const body = z.strictObject({ recipe: z.record(z.string(), z.unknown()).describe('settings that are not by default') })

/** Faults by the setting. With modules of the user, only the command itself knows all names: it checks the recipe when it starts. */
const faultsOf = (command: FormCommand, recipe: Record<string, unknown>): RecipeFault[] =>
  'use' in recipe
    ? []
    : recipeFaults(command, recipe).map(({ path, message }) => ({ name: path.map(String).join('.'), message }))

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
  answer: (request): Promise<RecipePlan> =>
    request.studio.planner.plan({ ...request.body.recipe, command: commandOf(request) }),
})

/** Makes the folder of a new run. @throws ApiError for one that is outside the studio's folders or there already */
const makeFolder = async (studio: Studio, out: string): Promise<string> => {
  const folder = resolve(out)
  const root = studio.runs.rootOf(folder)
  if (root === undefined || resolve(root) === folder)
    throw badRequest(
      `Expected a folder below ${studio.runs.roots.join(' or ')} for \`out\`, got ${out}. The studio shows only runs there.`,
      'out',
    )
  await mkdir(dirname(folder), { recursive: true })
  // Of two pages that start the same run, one makes the folder.
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
    throw new ApiError(409, `The folder ${out} is there already: choose another one for \`out\`.`, { param: 'out' })
  })
  return folder
}

export const startNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/start',
  summary: 'Write the recipe of a run and start it in a process of its own',
  body,
  async answer(request): Promise<StartAnswer> {
    const { studio } = request
    const { recipe } = request.body
    const command = commandOf(request)
    const [fault] = faultsOf(command, recipe)
    if (fault !== undefined) throw badRequest(fault.message, fault.name || undefined, 'invalid_recipe')
    const folder = await makeFolder(studio, String(recipe.out ?? ''))
    const form = join(folder, runFiles.form)
    await writeFile(form, `${JSON.stringify({ ...recipe, command, out: folder }, null, 2)}\n`)
    const pid = await studio.runs.processes.start(folder, [command, '--recipe', form])
    const entry = await studio.runs.inFolder(folder)
    if (entry === undefined)
      throw new ApiError(409, `The folder ${folder} is too deep or hidden: the studio does not show the run in it.`)
    return { id: entry.id, message: `Started ${entry.id} in process ${pid}.` }
  },
})
