import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

// The package as a user gets it: packed here, installed with npm into an empty project, compiled against and run. Set-up
// uses the addon of this repository as a prebuilt one, so no compiler runs.
const repository = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

type Record = { addon: string; libtorch: string; version: string; root: string; cuda: boolean }
type Prebuilt = {
  prebuiltTarget(libtorch: object, cuda: boolean, sources: string): object
  writePrebuilt(folder: string, version: string, target: object, addon: string): string
}
const { prebuiltTarget, writePrebuilt } = await loadScript<Prebuilt>('prebuilt.mjs')
const { inspect } = await loadScript<{ inspect(root: string, source: string): object }>('libtorch.mjs')
const { sourcesDigest } = await loadScript<{ sourcesDigest(root: string): string }>('addon.mjs')

let folder = ''
let project = ''
let size = 0
let contents: string[] = []
const environment: NodeJS.ProcessEnv = {}

const program = (...argv: string[]) =>
  run(process.execPath, [join(project, 'node_modules/tunesmith/bin/tunesmith.js'), ...argv], {
    cwd: project,
    env: environment,
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-package-'))
  project = join(folder, 'project')
  await mkdir(project)
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: repository })
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
  size = packed.size
  contents = packed.files.map(({ path }: { path: string }) => path)
  await writeFile(join(project, 'package.json'), '{"name": "consumer", "private": true, "type": "module"}')
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  await run('npm', ['install', ...flags, join(folder, packed.filename)], { cwd: project })
  const root = join(repository, 'build')
  const record = JSON.parse(readFileSync(join(root, 'native.json'), 'utf8')) as Record
  for (const key of ['addon', 'root'] as const) record[key] = resolve(root, record[key])
  const libtorch = inspect(record.root, '')
  writePrebuilt(
    join(folder, 'prebuilds'),
    packed.version,
    prebuiltTarget(libtorch, record.cuda, sourcesDigest(repository)),
    record.addon,
  )
  // No tools, no libtorch but the one named, and a home that is empty.
  Object.assign(environment, {
    PATH: '',
    HOME: join(folder, 'home'),
    TUNESMITH_PREBUILDS: join(folder, 'prebuilds'),
    LIBTORCH: record.root,
  })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the packed package', () => {
  it('is small, and has only what a user needs', () => {
    expect(size).toBeLessThan(5e6)
    const kinds = new Set(contents.map((path) => `${path.split('/')[0]} ${/(\.d)?\.[^./]+$/.exec(path)?.[0] ?? ''}`))
    expect([...kinds].filter((kind) => !kind.startsWith('quickstart ')).sort()).toEqual([
      ...['ARCHITECTURE.md .md', 'LICENSE ', 'README.md .md'],
      'bin .js',
      ...['dist .br', 'dist .css', 'dist .d.ts', 'dist .html', 'dist .js', 'dist .mjs', 'dist .svg'],
      ...['docs .json', 'docs .md', 'docs .svg'],
      ...['native .cmake', 'native .cpp', 'native .h', 'native .txt'],
      'package.json .json',
      'recipes .ts',
      'scripts .mjs',
    ])
    expect(contents.filter((path) => /\.test\.|fixtures|golden|\.map$/.test(path))).toEqual([])
    expect(contents).toContain('dist/cli/catalogue.json.br')
    expect(contents).toContain('dist/web/index.html')
    // No export reaches the commands, so nobody can import their types.
    expect(contents.filter((path) => /^dist\/cli\/.*\.d\.ts$/.test(path))).toEqual([])
    expect(contents.some((path) => path.startsWith('quickstart/data/'))).toBe(true)
  })

  it('prints help, version and completion before it is set up', async () => {
    expect((await program('--version')).stdout).toBe(
      `${JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')).version}\n`,
    )
    expect((await program('--help')).stdout).toMatch(/^ {2}pretrain /m)
    expect((await program('finetune', '--help')).stdout).toContain('--base')
    expect((await program('completion', 'bash')).stdout).toContain('complete -F _tunesmith tunesmith')
  })

  it('names a command that exists in the project while it is not set up', async () => {
    const doctor = await program('doctor', '--no-measure')
    expect(doctor.code).toBe(1)
    expect(doctor.stdout).toContain('The native addon is not built. Run `npx tunesmith setup`.')
    await writeFile(join(project, 'early.mjs'), "import { tensor } from 'tunesmith'\ntensor([1])\n")
    const early = await run(process.execPath, ['early.mjs'], { cwd: project, env: environment }).catch((error) => error)
    expect(early.stderr).toContain('SetupError: The native addon is not built. Run `npx tunesmith setup`.')
  })

  it('compiles strict TypeScript programs that use its root and subpaths, with the declarations of every export', async () => {
    const { exports } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
    const modules = Object.keys(exports).filter((path) => path !== './package.json')
    await writeFile(
      join(project, 'every-export.ts'),
      modules.map((path, i) => `export type * as module${i} from 'tunesmith${path.slice(1)}'\n`).join(''),
    )
    await writeFile(
      join(project, 'program.ts'),
      [
        "import { defineRun, loadTokenizer, Tensor } from 'tunesmith'",
        "import { encodeShards } from 'tunesmith/data'",
        "import { noGrad } from 'tunesmith/tensor'",
        'const x: Tensor = Tensor.from([[1, 2], [3, 4]])',
        'const values: unknown = noGrad(() => x.matmul(x).toArray())',
        "export const recipe = defineRun({ command: 'pretrain' } as never)",
        'console.log(JSON.stringify(values), typeof loadTokenizer, typeof encodeShards)',
        '',
      ].join('\n'),
    )
    const options = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--skipLibCheck',
      'false',
      '--types',
      'node',
    ]
    const typeRoots = ['--typeRoots', join(repository, 'node_modules', '@types')]
    const tsc = join(repository, 'node_modules/typescript/bin/tsc')
    const { stdout } = await run(process.execPath, [tsc, ...options, ...typeRoots, 'program.ts', 'every-export.ts'], {
      cwd: project,
    }).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  })

  it('sets itself up at the first command that needs the addon, without a compiler', async () => {
    await mkdir(join(project, 'texts'))
    const words = ['king', 'cat', 'house', 'river', 'doctor', 'boat', 'garden']
    for (let i = 0; i < 30; i++) {
      const sentence = (j: number) => `The ${words[(i + j) % 7]} of number ${i * j} is near the ${words[(i * j) % 7]}.`
      await writeFile(join(project, 'texts', `${i}.txt`), Array.from({ length: 25 }, (_, j) => sentence(j)).join(' '))
    }
    const steps = [
      'corpus build --source text:texts --out corpus',
      'tokenizer train --type bpe --vocab-size 300 --corpus corpus --out tokenizer',
      'tokenizer encode --tokenizer tokenizer --corpus corpus --out shards',
      'pretrain --model.type gpt2 --model.preset test --objective.type causal-lm --data shards --tokenizer tokenizer ' +
        '--batch.sequences 2 --max-length 16 --budget.steps 2 --out run',
    ]
    const results = []
    for (const step of steps) results.push(await program(...step.split(' ')))
    expect(results.map(({ code, stderr }) => (code === 0 ? '' : stderr))).toEqual(['', '', '', ''])
    expect(results.map(({ stderr }) => /setting up first/.test(stderr))).toEqual([false, false, false, true])
    expect(results[3].stderr).toContain('using the prebuilt addon')
    const setup = JSON.parse((await program('setup', '--json')).stdout)
    expect(setup).toMatchObject({ libtorch: { source: 'LIBTORCH' }, ready: true })
    expect((await program('setup')).stdout).toMatch(/^Set up already\.\n/)
    expect((await program('doctor', '--no-measure')).code).toBe(0)
    const { stdout } = await run(process.execPath, ['program.js'], { cwd: project, env: environment })
    expect(stdout).toBe('[[7,10],[15,22]] function function\n')
  })

  it('refuses a subpath that is not public', async () => {
    await writeFile(join(project, 'private.mjs'), "import 'tunesmith/cli'\n")
    const { stderr } = await run(process.execPath, ['private.mjs'], { cwd: project }).catch((error) => error)
    expect(stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED')
  })

  it('explains an addon that this user cannot read', async () => {
    const path = join(project, 'node_modules/tunesmith/build/native.json')
    const record = await readFile(path, 'utf8')
    await writeFile(path, JSON.stringify({ ...JSON.parse(record), libtorch: join(folder, 'gone') }))
    const { stdout } = await program('doctor', '--no-measure')
    await writeFile(path, record)
    expect(stdout).toMatch(
      /PROBLEM +Expected libtorch in `.*gone`, which is missing or which this user may not read\. Run `npx tunesmith setup` as this user/,
    )
  })
})
