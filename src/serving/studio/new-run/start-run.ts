// New runs from a recipe that a page or an agent has filled in: planned while a form is filled in, in a process with low priority, as
// planning may take seconds, and started in a process of their own.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { lowerPriority, makeFolder } from '../../../core/index.ts'
import { recipeFaults } from '../../../runs/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import { AnsweringProcess } from '../process/answering-process.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import type { FormCommand, RecipeFault, RecipePlan, StartAnswer } from '../types/new-run-types.ts'

/** Commands that the studio and agents start. */
export const startCommand = z.enum(['pretrain', 'finetune', 'multitask', 'align'])

/** Whether building the run of a recipe imports a file of the user: planning it would run that file's code. */
export const importsModules = (recipe: Record<string, unknown>): boolean => 'use' in recipe || 'recipeFile' in recipe

/** Faults by the setting. With modules of the user, only the command itself knows all names: it checks the recipe when it starts. */
export const faultsOf = (command: FormCommand, recipe: Record<string, unknown>): RecipeFault[] =>
  'use' in recipe
    ? []
    : recipeFaults(command, recipe).map(({ path, message }) => ({ name: path.map(String).join('.'), message }))

/** Makes the folder of a new run. @throws ApiError for one that is outside the studio's folders or there already */
const makeRunFolder = async (runs: RunLibrary, out: string): Promise<string> => {
  const folder = resolve(out)
  const root = runs.rootOf(folder)
  if (root === undefined || resolve(root) === folder)
    throw badRequest(
      `Expected a folder below ${runs.roots.join(' or ')} for \`out\`, got ${out}. The studio shows only runs there.`,
      'out',
    )
  await makeFolder(dirname(folder), 'out')
  // Of two pages that start the same run, one makes the folder.
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
    throw new ApiError(409, `The folder ${out} is there already: choose another one for \`out\`.`, { param: 'out' })
  })
  return folder
}

/**
 * Writes a recipe into the new folder of its `out`, and starts its command.
 * @throws ApiError for settings at fault, and for a folder that is there already or is not below a root
 */
export const startRun = async (
  runs: RunLibrary,
  command: FormCommand,
  recipe: Record<string, unknown>,
): Promise<StartAnswer> => {
  const [fault] = faultsOf(command, recipe)
  if (fault !== undefined) throw badRequest(fault.message, fault.name || undefined, 'invalid_recipe')
  const folder = await makeRunFolder(runs, String(recipe.out ?? ''))
  const form = join(folder, runFiles.form)
  await writeFile(form, `${JSON.stringify({ ...recipe, command, out: folder }, null, 2)}\n`)
  const pid = await runs.processes.start(folder, [command, '--recipe', form])
  const entry = await runs.inFolder(folder)
  if (entry === undefined)
    throw new ApiError(409, `The folder ${folder} is too deep or hidden: the studio does not show the run in it.`)
  return { id: entry.id, message: `Started ${entry.id} in process ${pid}.` }
}

/** Milliseconds after which a plan is given up. */
const timeLimit = 120_000

/** Milliseconds without a plan after which the process ends. */
const idleMs = 2 * 60_000

/** Plans one recipe at a time. Of those that wait, only the newest is planned. */
export class RecipePlanner {
  readonly #process: AnsweringProcess
  #isBusy = false
  #waiting: { begin(): void; drop(error: unknown): void } | undefined

  /** @param closed - fires when the studio closes */
  constructor(closed: AbortSignal) {
    const file = new URL('./plan-child.ts', import.meta.url)
    this.#process = new AnsweringProcess(file, { idleMs, closed, onStart: lowerPriority })
  }

  /** Id of the process that plans; undefined while there is none. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** @throws ApiError if a newer plan was asked for meanwhile */
  async plan(recipe: object): Promise<RecipePlan> {
    // One that waits gets its turn from the one before, which leaves `#isBusy` as it is: none comes between them.
    if (this.#isBusy)
      await new Promise<void>((begin, drop) => {
        this.#waiting?.drop(new ApiError(409, 'A newer plan was asked for.', { code: 'superseded' }))
        this.#waiting = { begin, drop }
      })
    this.#isBusy = true
    try {
      const plan = await this.#process.ask<RecipePlan>(recipe, timeLimit)
      return plan ?? { plan: null, fault: 'The planner took too long or ended: there is no plan for this recipe.' }
    } finally {
      const next = this.#waiting
      this.#waiting = undefined
      this.#isBusy = next !== undefined
      next?.begin()
    }
  }
}
