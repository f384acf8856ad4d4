// A package of a user registers an objective (`use`): it is installed into a project, named in flags and in a recipe, and trains.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSmallData, type SmallData } from '../training/small-run.ts'
import { repository } from './run-folder.ts'

const program = join(repository, 'bin', 'tunesmith.js')
const compiled = existsSync(join(repository, 'dist', 'cli', 'main.js'))

let data: SmallData
let project: string

const write = (name: string, content: string | object) => {
  const path = join(project, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
}
const run = (...argv: string[]) =>
  spawnSync(process.execPath, [program, ...argv], { cwd: project, encoding: 'utf8', timeout: 240_000 })

const objective = `import { defineObjective, objectives, registerObjective } from 'tunesmith/objectives'
import { z } from 'zod'

const { config, head, create } = objectives['causal-lm']
registerObjective(
  defineObjective({
    type: 'scaled-lm',
    source: 'a test',
    config: config.extend({ factor: z.number().positive().default(1).describe('factor of the loss') }),
    head,
    create({ factor, ...rest }, context) {
      const plain = create(rest, context)
      return {
        ...plain,
        loss(model, batch, options) {
          const { terms, metrics } = plain.loss(model, batch, options)
          return { terms: terms.map((term) => ({ ...term, scale: factor * term.scale })), metrics }
        },
      }
    },
  }),
)
`

beforeAll(async () => {
  data = await makeSmallData()
  project = join(data.root, 'project')
  write('scaled-objective/package.json', {
    name: 'scaled-objective',
    version: '1.0.0',
    type: 'module',
    exports: { '.': { import: './index.js' } },
  })
  write('scaled-objective/index.js', objective)
  // A package may bring its own copy of Tunesmith along, where nothing that it registers would have an effect.
  const copy = { name: 'tunesmith', version: '0.0.1', type: 'module', exports: { './objectives': './objectives.js' } }
  write('scaled-objective/node_modules/tunesmith/package.json', copy)
  write('scaled-objective/node_modules/tunesmith/objectives.js', 'throw new Error("another copy of tunesmith")\n')
  const zod = join(repository, 'node_modules', 'zod')
  const dependencies = { 'scaled-objective': 'file:scaled-objective', zod: `file:${zod}` }
  write('package.json', { name: 'project', private: true, dependencies })
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--silent'], { cwd: project })
})
afterAll(() => data.dispose())

// The package and the program must be one instance of Tunesmith, as they are where it is installed.
describe.skipIf(!compiled)('a package named by `use` (needs dist/, which `npm run build` makes)', () => {
  const shared = () => [
    ...['--data', data.shards, '--tokenizer', data.tokenizer, '--max-length', '32', '--batch.sequences', '4'],
    ...['--model.type', 'gpt2', '--model.preset', 'test', '--budget.steps', '2'],
  ]
  const lossesOf = (folder: string): number[] =>
    readFileSync(join(project, folder, 'events.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; loss: number })
      .filter(({ type }) => type === 'step')
      .map(({ loss }) => loss)

  it('adds its flags to --help', () => {
    const choice = ['--objective.type', 'scaled-lm']
    const help = run('pretrain', '--use', 'scaled-objective', '--help', ...choice).stdout
    expect(help).toContain('--objective.factor <n>')
    expect(help).toContain('factor of the loss')
    expect(run('pretrain', '--use', 'scaled-objective', '--help').stdout).toContain('scaled-lm')
    expect(run('pretrain', '--help', ...choice).stdout).not.toContain('--objective.factor')
  })

  it('trains with its objective, named by a flag', () => {
    const plain = run('pretrain', ...shared(), '--objective.type', 'causal-lm', '--out', 'plain')
    expect(plain.stderr).toContain('Before the first step')
    expect(plain.status).toBe(0)
    const own = ['--use', 'scaled-objective', '--objective.type', 'scaled-lm', '--objective.factor', '3']
    const { status, stderr } = run('pretrain', ...shared(), ...own, '--out', 'scaled')
    expect(stderr).not.toContain('error')
    expect(status).toBe(0)
    expect(lossesOf('scaled')).toHaveLength(2)
    expect(lossesOf('scaled')[0]).toBeCloseTo(3 * lossesOf('plain')[0], 4)
    const { use } = JSON.parse(readFileSync(join(project, 'scaled', 'run.json'), 'utf8')) as { use: string[] }
    expect(use).toEqual([expect.stringMatching(/scaled-objective\/index\.js$/)])
  })

  it('is imported again by resume, from any folder', () => {
    const { status, stdout } = spawnSync(process.execPath, [program, 'resume', join(project, 'scaled')], {
      cwd: repository,
      encoding: 'utf8',
    })
    expect(stdout).toContain('Finished: 2 steps')
    expect(status).toBe(0)
  })

  it('may be a file beside a recipe, in TypeScript', () => {
    write(
      'own/objective.ts',
      `${objective.replace('scaled-lm', 'own-lm')}const typed: number = 1\nexport default typed\n`,
    )
    write(
      'own/recipe.ts',
      `import { defineRun } from 'tunesmith'
export default {
  ...defineRun({
    model: { type: 'gpt2', preset: 'test' },
    objective: { type: 'causal-lm' },
    data: ${JSON.stringify(data.shards)},
    tokenizer: ${JSON.stringify(data.tokenizer)},
    out: 'own-run',
    maxLength: 32,
    batch: { sequences: 4 },
    budget: { steps: 2 },
  }),
  use: ['./objective.ts'],
  objective: { type: 'own-lm', factor: 2 },
}
`,
    )
    const { status, stderr } = run('pretrain', '--recipe', 'own/recipe.ts')
    expect(stderr).not.toContain('error')
    expect(status).toBe(0)
    expect(lossesOf('own-run')[0]).toBeCloseTo(2 * lossesOf('plain')[0], 4)
  })

  it('registers a task, whose specialist is evaluated and whose predictions are scored', () => {
    write(
      'tone.ts',
      `import { defineTask, registerTask, tasks } from 'tunesmith/tasks'
registerTask(defineTask({ ...tasks['sequence-classification'], type: 'tone' } as never))
`,
    )
    const rows = Array.from({ length: 40 }, (_, i) => ({
      text: `${i % 2 ? 'green bird' : 'old stone'} ${i}`,
      label: `l${i % 2}`,
    }))
    write('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
    const tone = ['--task', 'tone', '--data', 'rows.jsonl', '--base', 'plain', '--use', './tone.ts', '--out', 'tone']
    const trained = run('finetune', ...tone, '--budget.steps', '2', '--batch.sequences', '4')
    expect(trained.stderr).not.toContain('error')
    expect(trained.status).toBe(0)
    for (const model of ['tone', 'tone/model']) {
      const evaluated = run('evaluate', '--model', model, '--data', 'rows.jsonl', '--predictions', 'said.jsonl')
      expect(evaluated.stderr).not.toContain('error')
      expect(evaluated.stdout).toContain('accuracy')
    }
    expect(run('predict', '--model', 'tone', '--text', 'green bird').stdout).toContain('label l')
    const said = ['--predictions', 'said.jsonl', '--references', 'rows.jsonl']
    expect(run('score', 'tone', ...said, '--use', './tone.ts').stdout).toContain('accuracy')
    expect(run('score', 'tone', ...said).stderr).toContain('tone')
  })

  it('that is not installed is an error with the remedy', () => {
    const { status, stderr } = run('pretrain', '--use', 'no-such-objective', ...shared(), '--out', 'none')
    expect(stderr).toMatch(/^error: Expected an installed package or a path .* for `use`, got no-such-objective\./)
    expect(status).toBe(2)
  })
})
