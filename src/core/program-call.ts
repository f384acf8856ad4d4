// How users call the program, so that every message names a command that exists where they are: through the package
// manager of their project, as a global command, or as a file of a clone. Every hint in the tree is written with it.
import { existsSync, realpathSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'
import { packageRoot } from './installation.ts'

/** What the call is found from; the running process by default. */
export interface CallFacts {
  /** Folder with the package's package.json. */
  root?: string
  /** The file that Node runs, as it was named. */
  entry?: string
  cwd?: string
  env?: Readonly<Record<string, string | undefined>>
}

interface PackageManager {
  /** Its name in `npm_config_user_agent`. */
  name: string
  lockFiles: readonly string[]
  /** Runs a command of an installed package. */
  runs: string
  /** Adds a package to the project. */
  adds: string
}

const npm: PackageManager = { name: 'npm', lockFiles: ['package-lock.json'], runs: 'npx', adds: 'npm install' }

const managers: readonly PackageManager[] = [
  { name: 'pnpm', lockFiles: ['pnpm-lock.yaml'], runs: 'pnpm exec', adds: 'pnpm add' },
  { name: 'yarn', lockFiles: ['yarn.lock'], runs: 'yarn', adds: 'yarn add' },
  { name: 'bun', lockFiles: ['bun.lock', 'bun.lockb'], runs: 'bunx', adds: 'bun add' },
  npm,
]

/** Environment variable that passes the call to child processes, such as set-up. */
const inherited = 'TUNESMITH_CALL'

const withDefaults = ({
  root = packageRoot(),
  entry = process.argv[1] ?? '',
  cwd = process.cwd(),
  env = process.env,
}: CallFacts) => ({ root, entry, cwd, env })

/** The folder above the first node_modules of a path; undefined for a path without one. */
const projectOf = (path: string): string | undefined => {
  const at = path.split(sep).indexOf('node_modules')
  return at < 0 ? undefined : path.split(sep).slice(0, at).join(sep)
}

/** The package manager that started this process, or else that of the project's lock file. */
const managerOf = (project: string | undefined, env: CallFacts['env']): PackageManager => {
  const [agent] = (env?.npm_config_user_agent ?? '').split('/')
  const started = managers.find(({ name }) => name === agent)
  if (started !== undefined && started !== npm) return started
  if (project === undefined) return started ?? npm
  return managers.find(({ lockFiles }) => lockFiles.some((file) => existsSync(join(project, file)))) ?? npm
}

/** What users type for the program: `npx tunesmith`, `pnpm exec tunesmith`, `tunesmith`, `node bin/tunesmith.js` … */
export const programName = (facts: CallFacts = {}): string => {
  const { root, entry, cwd, env } = withDefaults(facts)
  if (env[inherited] !== undefined) return env[inherited]
  const isBin = basename(entry) === 'tunesmith'
  const project = projectOf(isBin ? entry : root) ?? projectOf(root)
  // A link in a folder of PATH, as a global installation makes it.
  if (isBin && projectOf(entry) === undefined) return 'tunesmith'
  if (project !== undefined) return `${managerOf(project, env).runs} tunesmith`
  const source = join(root, 'src', 'cli', 'main.ts')
  const [runner, file] = entry === source ? ['node --import tsx', source] : ['node', join(root, 'bin', 'tunesmith.js')]
  const path = relative(real(cwd), real(file))
  return `${runner} ${shellWord(path.startsWith('..') ? file : path)}`
}

const real = (path: string): string => (existsSync(path) ? realpathSync(path) : path)

/** A word as a shell reads it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/**
 * The command line of the program as users would type it.
 * @param command - as it is typed: `resume`, `setup --cuda`
 * @param words - further words, quoted where the shell needs it
 */
export const programCall = (command: string, ...words: string[]): string =>
  [programName(), command, ...words.map(shellWord)].join(' ')

/** The words that start this program again, for processes that it starts. */
export const selfCall = (): [string, ...string[]] => [process.execPath, ...process.execArgv, process.argv[1]]

/** The command that runs set-up: an npm script in a clone, which may not be compiled yet. */
export const setupCall = (flags = '', facts: CallFacts = {}): string => {
  const { root, cwd } = withDefaults(facts)
  if (projectOf(root) !== undefined) return `\`${programName(facts)} setup${flags === '' ? '' : ` ${flags}`}\``
  const script = `\`npm run setup${flags === '' ? '' : ` -- ${flags}`}\``
  return cwd.startsWith(root) ? script : `${script} in \`${root}\``
}

/** The command that adds a package to the user's project. */
export const installCall = (name: string, facts: CallFacts = {}): string => {
  const { root, cwd, env } = withDefaults(facts)
  return `${managerOf(projectOf(root) ?? cwd, env).adds} ${name}`
}

/** Replaces the program's name in examples, such as `tunesmith pretrain …`, by the call. */
export const withProgramName = (text: string): string =>
  text.replaceAll(/(^|[\s(`|$])tunesmith (?=[a-z<[])/g, `$1${programName()} `)

/** Passes the call to processes that this one starts: their own entry file says nothing about users. */
export const passProgramName = (): void => {
  process.env[inherited] = programName({ env: { ...process.env, [inherited]: undefined } })
}
