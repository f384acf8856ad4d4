// The programs that the studio starts: training in processes of their own, which outlive it. Their output goes to a file of the run's folder.
import { type ChildProcess, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { makeFolder, packageRoot } from '../../../core/index.ts'
import { runFiles } from '../../../tracking/index.ts'

/** Words for Node that start the program: from its sources where this file is one, else as it is installed. */
const programWords = (): string[] =>
  import.meta.url.endsWith('.ts')
    ? ['--import', import.meta.resolve('tsx'), join(packageRoot(), 'src', 'cli', 'main.ts')]
    : [join(packageRoot(), 'bin', 'tunesmith.js')]

/** The programs that were started here and have not ended. */
export class RunProcesses {
  readonly #children = new Map<string, ChildProcess>()

  /** Whether a program was started for the folder that has not ended; it may not have locked the folder yet. */
  has(folder: string): boolean {
    return this.#children.has(resolve(folder))
  }

  /** Starts a command of the program for a run's folder. Resolves once the process is there, which then needs this one no more. */
  async start(folder: string, words: readonly string[]): Promise<number> {
    await makeFolder(folder, 'out')
    const output = await open(join(folder, runFiles.console), 'a')
    try {
      const child = spawn(process.execPath, [...programWords(), ...words], {
        // A session of its own: neither the studio's end nor Ctrl-C in its terminal reaches it.
        detached: true,
        stdio: ['ignore', output.fd, output.fd],
      })
      const key = resolve(folder)
      this.#children.set(key, child)
      child.once('exit', () => {
        if (this.#children.get(key) === child) this.#children.delete(key)
      })
      await new Promise<void>((started, failed) => child.once('spawn', started).once('error', failed))
      child.unref()
      return child.pid!
    } catch (error) {
      this.#children.delete(resolve(folder))
      throw error
    } finally {
      await output.close()
    }
  }

  /** Ends a program that has not locked its folder yet. @returns whether there was one */
  interrupt(folder: string): boolean {
    return this.#children.get(resolve(folder))?.kill('SIGINT') ?? false
  }
}
