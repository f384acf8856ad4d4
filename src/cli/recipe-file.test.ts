import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { programCall } from '../core/index.ts'
import type { Command } from './command.ts'
import { parseCommandLine } from './command-line.ts'
import { finetune } from './commands/finetune.ts'
import { planAlign } from './commands/plan.ts'
import { pretrain } from './commands/pretrain.ts'
import { readRecipeFile } from './recipe-file.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-recipe-file-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const write = async (name: string, text: string) => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}
const messageOf = (path: string) =>
  readRecipeFile(path).then(
    () => '',
    (error: Error) => error.message,
  )

/** What the program prints for a recipe, in a process of its own: a test runner changes the stacks of errors. */
const errorOf = (path: string) => {
  const repository = fileURLToPath(new URL('../..', import.meta.url))
  const argv = ['--import', 'tsx', 'src/cli/main.ts', 'pretrain', '--recipe', path]
  const { status, stderr } = spawnSync(process.execPath, argv, { cwd: repository, encoding: 'utf8' })
  expect(status).toBe(2)
  return stderr.replace(/^error: |\n$/g, '')
}

describe('a recipe outside the repository', () => {
  it('imports tunesmith, its subpaths, and TypeScript files beside it', async () => {
    await write('sizes.ts', 'export const depth: number = 2\n')
    for (const name of ['r.ts', 'r.mts', 'r.mjs']) {
      const imports = "import { defineRun } from 'tunesmith'\nimport { encodeShards } from 'tunesmith/data'\n"
      const path = await write(
        name,
        `${imports}import { depth } from './sizes.js'\nconst run = defineRun({ command: 'pretrain', out: 'x' })\nexport default { ...run, depth, kind: typeof encodeShards }\n`,
      )
      expect(await readRecipeFile(path)).toEqual({ command: 'pretrain', out: 'x', depth: 2, kind: 'function' })
    }
  })

  it('uses the running tunesmith, also where its own folder has another', async () => {
    const own = join(folder, 'project', 'node_modules', 'tunesmith')
    await mkdir(own, { recursive: true })
    await writeFile(join(own, 'package.json'), '{"name": "tunesmith", "type": "module", "exports": "./index.js"}')
    await writeFile(join(own, 'index.js'), 'export const defineRun = () => ({ mine: true })\n')
    const path = await write('project/r.ts', "import { defineRun } from 'tunesmith'\nexport default defineRun({})\n")
    expect(await readRecipeFile(path)).toEqual({})
  })

  it('prefers JavaScript to the TypeScript beside it, in its own folder and in packages that use `require`', async () => {
    const own = join(folder, 'project', 'node_modules', 'both')
    await mkdir(own, { recursive: true })
    await writeFile(join(own, 'package.json'), '{"name": "both", "main": "index.js"}')
    await writeFile(
      join(own, 'index.js'),
      `const load = ${'require'}\nmodule.exports = { kind: load('./data'), other: load('./data.js') }\n`,
    )
    for (const at of ['project/node_modules/both/data', 'project/own'])
      await write(`${at}.ts`, 'throw new Error("compiled")\n')
    await write('project/node_modules/both/data.js', "module.exports = 'JavaScript'\n")
    await write('project/own.js', "export const own = 'JavaScript'\n")
    await write('project/package.json', '{"type": "module"}')
    const path = await write(
      'project/both.ts',
      "import both from 'both'\nimport { own } from './own.js'\nexport default { ...both, own }\n",
    )
    expect(await readRecipeFile(path)).toEqual({ kind: 'JavaScript', other: 'JavaScript', own: 'JavaScript' })
  })

  it('runs again at each reading', async () => {
    const path = await write('twice.ts', 'export default { seed: process.env.TUNESMITH_TEST_SEED }\n')
    for (const seed of ['1', '2']) {
      process.env.TUNESMITH_TEST_SEED = seed
      expect(await readRecipeFile(path)).toEqual({ seed })
    }
    delete process.env.TUNESMITH_TEST_SEED
  })
})

describe('the error of a recipe', () => {
  it('names file, line and message of what it throws', async () => {
    const typed = 'interface Size {\n  a: number\n}\nconst x: Size = { a: 1 }\n'
    const path = await write('throws.ts', `${typed}throw new RangeError('no size ' + x.a)\n`)
    expect(errorOf(path)).toBe(`${path}:5:7: RangeError: no size 1`)
    const inner = await write('inner.ts', "type T = 1\n\nthrow new Error('inner')\n")
    expect(errorOf(await write('outer.ts', "import './inner.ts'\nexport default {}\n"))).toBe(
      `${inner}:3:7: Error: inner`,
    )
    const text = await write('text.mjs', "throw 'a text'\n")
    expect(await messageOf(text)).toBe(`${text}: the recipe threw "a text".`)
    const type = await write('type.mjs', '\nconst { x } = undefined\nexport default x\n')
    expect(await messageOf(type)).toMatch(new RegExp(`^${type}:2:9: TypeError: Cannot destructure`))
  })

  it('names file and line of a syntax error', async () => {
    for (const name of ['syntax.ts', 'syntax.mjs']) {
      const path = await write(name, 'const a = 1\nexport default { a: ] }\n')
      expect(await messageOf(path)).toBe(`${path}:2:21: SyntaxError: Unexpected "]"`)
    }
  })

  it('names a package that is missing', async () => {
    const path = await write('missing.ts', "import 'no-such-package'\nexport default {}\n")
    expect(await messageOf(path)).toContain(`${path}: Error: Cannot find package 'no-such-package'`)
  })

  it('comes also where the recipe never finishes loading', async () => {
    const path = await write('never.ts', 'await new Promise(() => {})\nexport default {}\n')
    expect(errorOf(path)).toBe(
      `Expected \`${path}\` to finish loading, got an \`await\` that never settles. Check the promises that the recipe waits for.`,
    )
  })
})

describe('a recipe of another command', () => {
  it('is refused in one sentence that names the command that runs it', async () => {
    const path = await write('other.yaml', 'command: finetune\nbase: runs/bert\n')
    const fault = (command: Command, file: string) =>
      parseCommandLine(command, ['--recipe', file]).then(
        () => '',
        (error: Error) => error.message,
      )
    const expected = (own: string, call: string) =>
      `Expected a recipe of \`${own}\` for \`--recipe\`, got one of \`finetune\` in ${path}. Run it with \`${call}\`.`
    expect(await fault(pretrain, path)).toBe(expected('pretrain', programCall('finetune', '--recipe', path)))
    expect(await fault(planAlign, path)).toBe(expected('align', programCall('finetune', '--recipe', path, '--dry-run')))
    const unknown = await write('unknown.yaml', 'command: finetun\n')
    expect(await fault(pretrain, unknown)).toBe(
      'Expected pretrain or finetune or multitask or align for `command`, got "finetun". Correct the recipe.',
    )
    const own = await write('own.yaml', 'command: finetune\ntask: regression\nbase: b\ndata: d\nout: o\n')
    expect(await fault(finetune, own)).toBe('')
  })
})
