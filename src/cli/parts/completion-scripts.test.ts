import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineCommand } from '../command.ts'
import { type Catalogue, helpOf } from '../command-help.ts'
import { completionScript, shells } from './completion-scripts.ts'

const bake = defineCommand({
  name: 'bake',
  summary: "Bake a cake: it's quick",
  example: 'tunesmith bake',
  options: z.strictObject({
    kind: z.enum(['sponge', 'short-crust']).default('sponge').describe('kind of [dough]: sweet'),
    eggs: z.int().default(2).describe('number of eggs'),
    recipeFile: z.string().optional().describe('file with a recipe'),
    sugar: z.boolean().default(true).describe('sugar in the dough'),
    glaze: z.boolean().default(false).describe('a glaze on top'),
  }),
  run: async () => undefined,
})
const wash = defineCommand({
  name: 'kitchen wash',
  summary: 'Wash up',
  example: 'tunesmith kitchen wash pots',
  arguments: [{ name: 'what', description: 'what to wash', choices: ['pots', 'pans'] }],
  options: z.strictObject({}),
  run: async () => undefined,
})
const sweep = defineCommand({ ...wash, name: 'kitchen sweep', arguments: undefined })
const catalogue: Catalogue = Object.fromEntries([bake, wash, sweep].map((command) => [command.name, helpOf(command)]))

const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-completion-'))
  writeFileSync(join(folder, 'a file.txt'), '')
  writeFileSync(join(folder, 'apple.txt'), '')
  for (const shell of shells) writeFileSync(join(folder, `script.${shell}`), completionScript(shell, catalogue))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// What each line completes to; `undefined` where only the shell's own file completion answers.
const lines: [string, string[]][] = [
  ['tunesmith ba', ['bake']],
  ['tunesmith kitchen ', ['sweep', 'wash']],
  ['tunesmith bake --kind ', ['short-crust', 'sponge']],
  ['tunesmith bake --kind sh', ['short-crust']],
  ['tunesmith bake --e', ['--eggs']],
  ['tunesmith bake --no-s', ['--no-sugar']],
  ['tunesmith bake --gl', ['--glaze']],
  ['tunesmith kitchen wash p', ['pans', 'pots']],
  ['tunesmith bake --recipe-file ap', ['apple.txt']],
]

describe('the completion script', () => {
  it.skipIf(!has('bash'))('of bash offers commands, flags, values and files (needs bash)', () => {
    for (const [line, expected] of lines) {
      const words = line.split(' ').map((word) => `'${word}'`)
      const test = `source ./script.bash; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _tunesmith; printf '%s\\n' "\${COMPREPLY[@]}"`
      const output = execFileSync('bash', ['-c', test], { cwd: folder, encoding: 'utf8' })
      expect(output.trim().split('\n').sort(), line).toEqual(expected)
    }
  })

  it.skipIf(!has('fish'))('of fish offers the same (needs fish)', () => {
    for (const [line, expected] of lines) {
      const test = `source ./script.fish; complete -C '${line}'`
      const output = execFileSync('fish', ['--no-config', '-c', test], { cwd: folder, encoding: 'utf8' })
      const words = output
        .trim()
        .split('\n')
        .map((text) => text.split('\t')[0])
      // fish also offers words that contain what was typed.
      expect(words, line).toEqual(expect.arrayContaining(expected))
    }
  })

  it.skipIf(!has('zsh'))('of zsh is one that zsh can read, with every command, flag and value (needs zsh)', () => {
    execFileSync('zsh', ['-n', join(folder, 'script.zsh')])
    const script = completionScript('zsh', catalogue)
    expect(script).toContain(`'bake:Bake a cake\\: it'\\''s quick'`)
    expect(script).toContain(String.raw`'*--kind[kind of \[dough\]\: sweet`)
    for (const text of [':value:(sponge short-crust)', '*--no-sugar[', "'wash:Wash up'", '*:value:(pots pans)'])
      expect(script).toContain(text)
  })
})
