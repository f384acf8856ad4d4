// What the pages do to a run: stop it, resume it, ask for a checkpoint, delete it, tag it, and read what its program prints.
import { constants } from 'node:fs'
import { access, lstat, readFile, realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { lockRun, requestCheckpoint, runFiles, runOwner, stopRun } from '../../../tracking/index.ts'
import { ApiError, badRequest } from '../../http/errors.ts'
import { defineStudioEndpoint, pause, studioStream, wholeNumber } from '../endpoint.ts'
import { startCommand } from '../new-run/start-run.ts'
import { readConsole } from '../runs/console-tail.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import type { RunProcesses } from '../runs/run-processes.ts'
import type { Studio } from '../studio.ts'
import type { ConsoleMessage, ControlAnswer } from '../types/api-types.ts'

const nothing = z.strictObject({})

/** The run is not in a state for what was asked. */
const conflict = (message: string): ApiError => new ApiError(409, message, { code: 'conflict' })

/** Why nothing can be stopped or saved: the run is over. */
const notRunning = async ({ row }: RunEntry, what: string): Promise<ApiError> =>
  conflict(
    row.state === 'finished'
      ? `The run has just finished: there is nothing to ${what}.`
      : `The run is not running (it is ${row.state}): there is nothing to ${what}.`,
  )

export const stop = defineStudioEndpoint({
  method: 'post',
  path: '/api/runs/:run/stop',
  summary: 'Stop a run after its current step, as Ctrl-C does',
  body: z.strictObject({
    now: z.boolean().default(false).describe('end a run that is stopping already, without saving'),
  }),
  async answer({ run, studio, body: { now } }): Promise<ControlAnswer> {
    const entry = await run()
    const answer = await stopRun(entry.folder, { now }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EPERM') throw conflict('The process of the run belongs to another user, who can stop it.')
      throw error
    })
    await entry.refresh()
    if (answer === 'sent') {
      studio.runs.tell(entry)
      return { message: now ? 'Ending the run now.' : 'Stopping after the current step, then saving a checkpoint.' }
    }
    if (answer === 'sent before')
      return { message: 'The run was asked to stop already: it finishes its step and saves a checkpoint.' }
    if (studio.runs.processes.interrupt(entry.folder)) return { message: 'Ending the program, which has not begun.' }
    throw await notRunning(entry, 'stop')
  },
})

/** The part of a form's recipe that names the command. */
const formSchema = z.looseObject({ command: startCommand })

/** The words of the command that continues a run, or begins one whose program failed before it wrote anything. */
const wordsToResume = async ({ folder }: RunEntry): Promise<string[]> => {
  const path = resolve(folder)
  const hasRecipe = await isThere(join(path, runFiles.recipe))
  const form = join(path, runFiles.form)
  if (hasRecipe || !(await isThere(form))) return ['resume', path]
  const { command } = formSchema.parse(JSON.parse(await readFile(form, 'utf8')))
  return [command, '--recipe', form]
}

const isThere = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  )

export const resumeRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/runs/:run/resume',
  summary: 'Resume a run from its newest checkpoint, in a process of its own',
  body: nothing,
  async answer({ run, studio }): Promise<ControlAnswer> {
    const entry = await run()
    const { processes } = studio.runs
    if (processes.has(entry.folder)) throw conflict('The run has just been started: it is running already.')
    const owner = await runOwner(entry.folder)
    if (owner !== undefined) throw conflict(`The run is running already, in process ${owner}.`)
    if (entry.state === 'finished') throw conflict('The run has finished: nothing is left to do.')
    const pid = await processes.start(entry.folder, await wordsToResume(entry))
    await entry.refresh()
    studio.runs.tell(entry)
    return { message: `Resuming in process ${pid}.` }
  },
})

export const checkpointNow = defineStudioEndpoint({
  method: 'post',
  path: '/api/runs/:run/checkpoint',
  summary: 'Ask a run for a checkpoint after its current step',
  body: nothing,
  async answer({ run }): Promise<ControlAnswer> {
    const entry = await run()
    if ((await runOwner(entry.folder)) === undefined) throw await notRunning(entry, 'save')
    await requestCheckpoint(entry.folder)
    return { message: 'The run writes a checkpoint after its current step.' }
  },
})

/** @throws ApiError unless the folder is a run below a root, and no part of its path below the root is a link */
const expectOwnFolder = async (studio: Studio, { folder }: RunEntry): Promise<void> => {
  const root = studio.runs.rootOf(folder)
  const parts = root === undefined ? [] : relative(resolve(root), resolve(folder)).split(sep).filter(Boolean)
  if (root === undefined || parts.length === 0)
    throw conflict('This folder is the one that the studio shows: delete it in a terminal.')
  for (let i = 1; i <= parts.length; i++)
    if ((await lstat(join(resolve(root), ...parts.slice(0, i)))).isSymbolicLink())
      throw conflict('The folder of the run is a symbolic link: delete it in a terminal.')
  // The root itself may be a link; nothing else may lead out of it.
  const real = await realpath(folder)
  if (!real.startsWith(`${await realpath(root)}${sep}`))
    throw conflict('The folder of the run is outside the folders that the studio shows.')
}

/** Locks a run so that none can begin in its folder, and takes the folder away at once. */
const deleteFolder = async (folder: string, processes: RunProcesses): Promise<void> => {
  if (processes.has(folder)) throw conflict('The run has just been started: stop it first.')
  const unlock = await lockRun(folder).catch((error: unknown) => {
    if (error instanceof ConfigError) throw conflict('The run is running: stop it first.')
    throw error
  })
  // A dot hides it from every list of runs, also if the studio is killed before all of it is deleted.
  const aside = join(dirname(resolve(folder)), `.deleting-${process.pid}-${Date.now()}-${basename(folder)}`)
  try {
    await rename(folder, aside)
  } catch (error) {
    await unlock()
    throw error
  }
  await rm(aside, { recursive: true, force: true })
}

export const deleteRun = defineStudioEndpoint({
  method: 'delete',
  path: '/api/runs/:run',
  summary: 'Delete the folder of a run that is not running',
  body: z.strictObject({ name: z.string().describe('id of the run, typed once more') }),
  async answer({ run, studio, body: { name } }): Promise<ControlAnswer> {
    const entry = await run()
    if (name !== entry.id)
      throw badRequest(
        `Expected the name of the run, ${entry.id}, got ${name.slice(0, 200)}. Nothing was deleted.`,
        'name',
      )
    await expectOwnFolder(studio, entry)
    await deleteFolder(entry.folder, studio.runs.processes)
    await studio.runs.forget(entry)
    return { message: `Deleted ${entry.id}.` }
  },
})

export const tagRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/runs/:run/tags',
  summary: 'Set the tags of a run',
  body: z.strictObject({ tags: z.array(z.string()) }),
  async answer({ run, studio, body: { tags } }) {
    const entry = await run()
    await studio.runs.setTags(entry, tags)
    return { tags: entry.tags }
  },
})

/** Milliseconds between two looks at the output of a program. */
const consoleInterval = 500

export const runConsole = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/console',
  summary: 'Follow what the program of a run prints, from the end of what it has printed',
  query: z.strictObject({ from: wholeNumber.optional().describe('bytes that the page has') }),
  async answer(request) {
    const entry = await request.run()
    const last = request.lastEventId === undefined ? request.query.from : Number(request.lastEventId)
    const path = join(entry.folder, runFiles.console)
    return studioStream(request, async (send, signal) => {
      let at = Number.isSafeInteger(last) ? last : undefined
      for (let first = true; !signal.aborted; first = false) {
        const part = await readConsole(path, at)
        const message: ConsoleMessage = {
          text: part?.text ?? '',
          fresh: part?.fresh ?? true,
          missing: part === undefined,
        }
        if (first || (part !== undefined && part.end !== at)) send(message, part?.end)
        at = part?.end ?? at
        await pause(consoleInterval, signal)
      }
    })
  },
})
