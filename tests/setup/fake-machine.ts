// A machine without any program but those that a test gives it: set-up finds programs by PATH and folders by HOME.
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Replaces the environment of this process; a test restores it. Programs are the bodies of shell scripts. */
export const emptyMachine = async (
  folder: string,
  name: string,
  programs: Record<string, string> = {},
): Promise<string> => {
  const machine = join(folder, name)
  await mkdir(join(machine, 'bin'), { recursive: true })
  for (const [program, script] of Object.entries(programs)) {
    await writeFile(join(machine, 'bin', program), `#!/bin/sh\n${script}\n`)
    await chmod(join(machine, 'bin', program), 0o755)
  }
  process.env = { PATH: join(machine, 'bin'), HOME: machine, XDG_CACHE_HOME: join(machine, 'cache') }
  return machine
}
