import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildFolders, setupCall } from '../../src/core/index.ts'
import { loadScript } from './load-script.ts'

type Places = {
  buildFolder(root: string): string
  setupCommand(root: string): string
  userBuildFolder(root: string): string
  writableCache(root: string): string
}
const { buildFolder, setupCommand, userBuildFolder, writableCache } = await loadScript<Places>('places.mjs')

const names = ['HOME', 'XDG_CACHE_HOME', 'TUNESMITH_CACHE'] as const
const environment = names.map((name) => [name, process.env[name]] as const)
let folder = ''
let root = ''
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'tunesmith-places-')))
  root = join(folder, 'node_modules', 'tunesmith')
  await mkdir(root, { recursive: true })
  await writeFile(join(root, 'package.json'), '{"version": "1.2.3"}')
  // Nothing can be made below a file, whoever runs the test; permissions do not stop root.
  await writeFile(join(folder, 'file'), '')
})
afterAll(() => rm(folder, { recursive: true, force: true }))
const set = (entries: readonly (readonly [string, string | undefined])[]) => {
  for (const [name, value] of entries) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}
afterEach(() => set(environment))

// One by one: Node's homedir() does not see a replaced process.env.
const withHome = (home: string, cache?: string) =>
  set([
    ['HOME', home],
    ['XDG_CACHE_HOME', undefined],
    ['TUNESMITH_CACHE', cache],
  ])

describe('the command that runs set-up', () => {
  it('is npx in a project, and the npm script of a clone with its folder where that is not the current one', () => {
    const programsCommand = (at: string) => setupCall('', { root: at, env: {} })
    for (const command of [setupCommand, programsCommand]) {
      expect(command(root)).toBe('`npx tunesmith setup`')
      expect(command(process.cwd())).toBe('`npm run setup`')
      expect(command(join(folder, 'clone'))).toBe(`\`npm run setup\` in \`${join(folder, 'clone')}\``)
    }
  })
})

describe('the folder of the cache', () => {
  it('is the one in TUNESMITH_CACHE, or an error that names it', () => {
    withHome(folder, join(folder, 'named'))
    expect(writableCache(root)).toBe(join(folder, 'named'))
    withHome(folder, join(folder, 'file', 'x'))
    expect(() => writableCache(root)).toThrow(/^Expected a writable folder in TUNESMITH_CACHE, got `.*file\/x`/)
  })

  it('is build/ in the package where the home is read-only', () => {
    withHome(join(folder, 'file', 'home'))
    expect(writableCache(root)).toBe(join(root, 'build'))
  })

  it.skipIf(process.getuid?.() !== 0)(
    'is build/ in the package for root with a closed home, so that other users can read it (needs root)',
    async () => {
      await mkdir(join(folder, 'closed'), { mode: 0o700 })
      withHome(join(folder, 'closed'))
      expect(writableCache(root)).toBe(join(root, 'build'))
    },
  )
})

describe('the folder of the build', () => {
  it('is build/ in the package, else one of the user that the program looks into', async () => {
    withHome(folder)
    expect(buildFolder(root)).toBe(join(root, 'build'))
    const readOnly = join(folder, 'other', 'node_modules', 'tunesmith')
    await mkdir(readOnly, { recursive: true })
    await writeFile(join(readOnly, 'package.json'), '{"version": "1.2.3"}')
    await writeFile(join(readOnly, 'build'), '')
    expect(buildFolder(readOnly)).toBe(userBuildFolder(readOnly))
    expect(buildFolders(readOnly)).toEqual([userBuildFolder(readOnly), join(readOnly, 'build')])
    expect(userBuildFolder(readOnly)).toMatch(/\.cache\/tunesmith\/builds\/1\.2\.3-[0-9a-f]{12}$/)
  })

  it('is an error with a remedy where neither can be written', async () => {
    const readOnly = join(folder, 'third', 'node_modules', 'tunesmith')
    await mkdir(readOnly, { recursive: true })
    await writeFile(join(readOnly, 'package.json'), '{"version": "1.2.3"}')
    await writeFile(join(readOnly, 'build'), '')
    withHome(join(folder, 'file', 'home'))
    expect(() => buildFolder(readOnly)).toThrow(
      /are read-only\. Set TUNESMITH_CACHE to a folder that you can write to\.$/,
    )
  })
})
