import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from './installation.ts'
import { type CallFacts, installCall, programCall, programName, setupCall, withProgramName } from './program-call.ts'

let folder: string
const project = (...path: string[]) => join(folder, 'project', ...path)
const clone = (...path: string[]) => join(folder, 'clone', ...path)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-call-'))
  for (const path of ['project/node_modules/tunesmith', 'clone/bin', 'pnpm'])
    mkdirSync(join(folder, path), { recursive: true })
  writeFileSync(clone('bin', 'tunesmith.js'), '')
  writeFileSync(join(folder, 'pnpm', 'pnpm-lock.yaml'), '')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the name of the program', () => {
  const npx = { npm_config_user_agent: 'npm/11.0.0 node/v22.0.0 linux x64' }
  const cases: [string, () => CallFacts, string | (() => string)][] = [
    ['npx', () => ({ env: npx, entry: project('node_modules/.bin/tunesmith') }), 'npx tunesmith'],
    [
      'pnpm exec',
      () => ({
        env: { npm_config_user_agent: 'pnpm/10.0.0 npm/? node/v22' },
        entry: project('node_modules/.bin/tunesmith'),
      }),
      'pnpm exec tunesmith',
    ],
    [
      'yarn',
      () => ({
        env: { npm_config_user_agent: 'yarn/4.0.0 npm/?' },
        entry: project('node_modules/tunesmith/bin/tunesmith.js'),
      }),
      'yarn tunesmith',
    ],
    ['a program of the user, with npm', () => ({ entry: project('first.js') }), 'npx tunesmith'],
    [
      'a program of the user, with the lock file of pnpm',
      () => ({
        root: join(folder, 'pnpm/node_modules/.pnpm/tunesmith@0.1.0/node_modules/tunesmith'),
        entry: join(folder, 'pnpm/first.js'),
      }),
      'pnpm exec tunesmith',
    ],
    [
      'a global command',
      () => ({ root: join(folder, 'lib/node_modules/tunesmith'), entry: join(folder, 'bin/tunesmith') }),
      'tunesmith',
    ],
    [
      'a clone that is linked into a project',
      () => ({ root: clone(), entry: project('node_modules/.bin/tunesmith') }),
      'npx tunesmith',
    ],
    [
      'a clone',
      () => ({ root: clone(), cwd: clone(), entry: clone('bin/tunesmith.js'), env: npx }),
      'node bin/tunesmith.js',
    ],
    [
      'a folder of a clone',
      () => ({ root: clone(), cwd: clone('bin'), entry: clone('bin/tunesmith.js') }),
      'node tunesmith.js',
    ],
    [
      'a clone from elsewhere',
      () => ({ root: clone(), cwd: project(), entry: clone('bin/tunesmith.js') }),
      // The folder of the test has no character that a shell would need quoted.
      () => `node ${clone('bin', 'tunesmith.js')}`,
    ],
    [
      'the sources of a clone',
      () => ({ root: clone(), cwd: clone(), entry: clone('src/cli/main.ts') }),
      'node --import tsx src/cli/main.ts',
    ],
    [
      'a child process',
      () => ({ entry: project('worker.js'), env: { TUNESMITH_CALL: 'pnpm exec tunesmith' } }),
      'pnpm exec tunesmith',
    ],
  ]
  it.each(cases)('is that of %s', (_title, facts, expected) => {
    const found = programName({ root: project('node_modules', 'tunesmith'), cwd: project(), env: {}, ...facts() })
    expect(found).toBe(typeof expected === 'string' ? expected : expected())
  })
})

describe('the calls of hints', () => {
  it('quote what a shell would split', () => {
    expect(programCall('resume', 'runs/a b')).toBe(
      "node bin/tunesmith.js resume 'runs/a b'".replace('node bin/tunesmith.js', programName()),
    )
    expect(programCall('resume', "it's")).toContain("resume 'it'\\''s'")
  })

  it('are the npm script of a clone for set-up, and a command of the package elsewhere', () => {
    const installed = {
      root: project('node_modules', 'tunesmith'),
      cwd: project(),
      entry: project('first.js'),
      env: {},
    }
    expect(setupCall('', installed)).toBe('`npx tunesmith setup`')
    expect(setupCall('--cuda', installed)).toBe('`npx tunesmith setup --cuda`')
    expect(setupCall('', { root: packageRoot(), cwd: packageRoot() })).toBe('`npm run setup`')
    expect(setupCall('--cuda', { root: clone(), cwd: project() })).toBe(`\`npm run setup -- --cuda\` in \`${clone()}\``)
  })

  it('add packages with the package manager of the project', () => {
    expect(installCall('left-pad', { root: project('node_modules', 'tunesmith'), env: {} })).toBe(
      'npm install left-pad',
    )
    expect(installCall('left-pad', { root: clone(), cwd: join(folder, 'pnpm'), env: {} })).toBe('pnpm add left-pad')
  })

  it('replace the name in examples, and nothing else', () => {
    const name = programName()
    expect(withProgramName('tunesmith pretrain --out runs/a')).toBe(`${name} pretrain --out runs/a`)
    expect(withProgramName('diff <(tunesmith runs a) b.tunesmith c')).toBe(`diff <(${name} runs a) b.tunesmith c`)
    expect(withProgramName('the package tunesmith, and tunesmith/core')).toBe(
      'the package tunesmith, and tunesmith/core',
    )
  })
})
