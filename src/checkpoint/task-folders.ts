// Models of several tasks: a folder with a folder for each task, which is a model of its own. Independent of what the tasks are.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, exists } from '../core/index.ts'
import { modelFiles, runFiles } from '../tracking/index.ts'

/** The tasks of a model. */
export interface TaskFolders {
  folder: string
  names: string[]
}

const namesIn = async (folder: string): Promise<string[] | undefined> => {
  const path = join(folder, modelFiles.tasks)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { tasks } = JSON.parse(text) as { tasks: { name: string }[] }
    // Names become folders: one with a separator leads elsewhere.
    if (tasks.every(({ name }) => /^[A-Za-z][\w-]*$/.test(name))) return tasks.map(({ name }) => name)
  } catch {
    // Reported below.
  }
  throw new CheckpointError(`${path}: Expected a list of tasks, got something else. The file is damaged.`)
}

/** The tasks of the model in a folder, or of the run in it; undefined for a model without tasks of its own. @throws CheckpointError */
export const taskFolders = async (path: string): Promise<TaskFolders | undefined> => {
  for (const folder of [path, join(path, runFiles.model)]) {
    const names = await namesIn(folder)
    if (names !== undefined) return { folder, names }
  }
  return undefined
}

/**
 * The folder of the model of one task of several.
 * @param model folder of a run of several tasks, or of its model
 * @throws ConfigError for a task that it does not have, or a model without tasks, CheckpointError for a path that leads nowhere
 */
export const modelOfTask = async (model: string, task: string): Promise<string> => {
  const found = await taskFolders(model)
  if (found === undefined && !(await exists(model)))
    throw new CheckpointError(
      `Expected the folder of a run of several tasks, found nothing at \`${model}\`. Check the path.`,
    )
  if (found === undefined)
    throw new ConfigError(
      `\`task\` needs a model of several tasks, which \`multitask\` makes, got ${model}. Leave it out.`,
    )
  const { folder, names } = found
  if (names.includes(task)) return join(folder, task)
  throw new ConfigError(`Expected a task of ${model} (${names.join(', ')}), got "${task}".${didYouMean(task, names)}`)
}

/** @throws ConfigError for a folder of several tasks, which is no model by itself */
export const expectOneTask = async (path: string): Promise<void> => {
  const found = await taskFolders(path)
  if (found === undefined) return
  const { folder, names } = found
  throw new ConfigError(
    `Expected one of the tasks ${names.join(', ')} for the model in ${path}, which has several. Set \`task\`, or name the folder of the task: ${join(folder, names[0])}.`,
  )
}
