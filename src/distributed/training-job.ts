// What a job for a cluster needs to know of a training command: how it starts, and how it resumes after it was preempted.
import { ConfigError, shellWord } from '../core/index.ts'

/** A training command with the folder that it writes. */
export interface TrainingJob {
  /** Name of the job, in lower case. */
  name: string
  /** How the program is called on the cluster: its words. */
  program: readonly string[]
  /** The command and its flags, such as `pretrain --recipe run.ts`. */
  command: readonly string[]
  /** Folder of the run. */
  out: string
  processes: number
  /** Compute threads of a process. */
  threads: number
}

/** @throws ConfigError for a name that clusters do not take, with the field that has it */
export const checkedName = (name: string, field = 'name'): string => {
  if (/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/.test(name)) return name
  throw new ConfigError(`Expected up to 52 lower-case letters, digits and hyphens for \`${field}\`, got "${name}".`)
}

const shellLine = (words: readonly string[]): string => words.map(shellWord).join(' ')

/** Shell lines that set the arguments of the shell to the command: to begin the run, or to resume it where its folder has one. */
export const startOrResume = ({ program, command, out }: TrainingJob): string[] => [
  `if [ -e ${shellWord(`${out}/run.json`)} ]; then`,
  `  set -- ${shellLine([...program, 'resume', out])}`,
  'else',
  `  set -- ${shellLine([...program, ...command])}`,
  'fi',
]
