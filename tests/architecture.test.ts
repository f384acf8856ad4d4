// The form of the repository, held by a test: see CONTRIBUTING.md. Each rule is first shown to fail.
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readTree } from './architecture/files.ts'
import * as rules from './architecture/rules.ts'

const repository = readTree(fileURLToPath(new URL('..', import.meta.url)))
const many = (count: number) => 'let x = 1\n'.repeat(count)

/** For each rule: a tree that keeps it, and trees that break it in one way each, with the words of the finding. */
const cases: { rule: rules.Rule; good: Record<string, string>; bad: [Record<string, string>, string][] }[] = [
  {
    rule: rules.foldersHaveTiers,
    good: { 'src/core/a.ts': '' },
    bad: [[{ 'src/extras/a.ts': '' }, 'src/extras: has no tier']],
  },
  {
    rule: rules.importsPointDown,
    good: {
      'src/nn/a.ts':
        "import { b } from './b.ts'\nimport { z } from 'zod'\nimport type { T } from '../tensor/index.ts'\n// from '../cli/x.ts'\n",
    },
    bad: [
      [{ 'src/core/a.ts': "import { T } from '../tensor/index.ts'" }, 'tier 0 imports tensor of tier 1'],
      [{ 'src/corpus/a.ts': "export * from '../data/index.ts'" }, 'tier 2 imports data of tier 2'],
      [{ 'src/nn/deep/a.ts': "import { T } from '../../tensor/tensor.ts'" }, 'past its index.ts'],
      [{ 'src/nn/a.ts': "const m = await import('../models/index.ts')" }, 'tier 2 imports models'],
      [{ 'src/nn/a.ts': "import type { M } from '../models/index.ts'" }, 'tier 2 imports models'],
      [{ 'src/corpus/a.ts': "startWorker(new URL('../data/worker.ts', import.meta.url))" }, 'tier 2 imports data'],
      [{ 'src/core/a.ts': "import x from '../../scripts/x.mjs'" }, 'leaves src'],
      [{ 'src/core/a.ts': "import x from '../index.ts'" }, "package's own entry"],
    ],
  },
  {
    rule: rules.importsResolve,
    good: { 'src/core/a.ts': "import { b } from './b.ts'", 'src/core/b.ts': '' },
    bad: [[{ 'src/core/a.ts': "import { b } from './b.ts'" }, 'src/core/b.ts is not there']],
  },
  {
    rule: rules.oneFileLoadsTheAddon,
    good: { 'src/tensor/native.ts': 'process.dlopen(module, path)', 'src/core/a.ts': "import 'node:fs' // dlopen(" },
    bad: [
      [{ 'src/nn/a.ts': 'process.dlopen(module, path)' }, 'loads native code'],
      [{ 'src/nn/a.ts': "require('./tunesmith.node')" }, 'loads native code'],
      [{ 'src/nn/a.ts': "const addon = load('build/tunesmith.node')" }, 'loads native code'],
    ],
  },
  {
    rule: rules.serverStartsLight,
    good: {
      'src/cli/commands/serve.ts': "import { a } from '../../serving/index.ts'",
      'src/serving/index.ts': "import type { D } from '@duckdb/node-api'\nexport { b } from './b.ts'",
      'src/serving/b.ts': "const load = () => import('linkedom')\n// import { x } from 'linkedom'",
      'src/serving/c.ts': "import { parseHTML } from 'linkedom'",
    },
    bad: [
      [
        {
          'src/cli/commands/serve.ts': "import {\n  a,\n} from '../../serving/index.ts'",
          'src/serving/index.ts': "export * from './b.ts'",
          'src/serving/b.ts': "import { parseHTML } from 'linkedom'",
        },
        'src/serving/b.ts: loads linkedom',
      ],
    ],
  },
  {
    rule: rules.filesAreShort,
    good: { 'src/core/a.ts': many(600), 'README.md': many(900) },
    bad: [
      [{ 'src/core/a.ts': many(601) }, '601 lines'],
      [{ 'native/a.cpp': many(700) }, '700 lines'],
      [{ 'tests/a.test.ts': many(700) }, '700 lines'],
    ],
  },
  {
    rule: rules.functionsAreShort,
    good: {
      'src/core/a.ts': `const f = () => {\n${many(98)}}\nclass A {\n  m() {\n${many(98)}  }\n}\n`,
      'src/core/a.test.ts': `it('', () => {\n${many(150)}})\n`,
    },
    bad: [
      [{ 'src/core/a.ts': `const f = () => {\n${many(99)}}\n` }, 'src/core/a.ts:1: f has 101 lines'],
      [{ 'scripts/a.mjs': `export function g() {\n${many(120)}}\n` }, 'g has 122 lines'],
      [{ 'bench/a.ts': `class A {\n  #m() {\n${many(120)}  }\n}\n` }, '#m has 122 lines'],
    ],
  },
  {
    rule: rules.filesAreNamed,
    good: { 'src/core/atomic-files.ts': '', 'src/core/atomic-files.test.ts': '', 'bench/peers/train_gpt2.py': '' },
    bad: [
      [{ 'src/core/utils.ts': '' }, 'says nothing'],
      [{ 'src/core/helpers/a.ts': '' }, 'says nothing'],
      [{ 'native/common.h': '' }, 'says nothing'],
      [{ 'src/core/string-utils.ts': '' }, 'says nothing'],
      [{ 'src/core/AtomicFiles.ts': '' }, 'not kebab-case'],
    ],
  },
  {
    rule: rules.entriesAreRegistered,
    good: {
      'src/models/bert.ts': 'export const bert = defineModel({})',
      'src/models/index.ts': "import { bert } from './bert.ts'",
      'src/cli/doctor.ts': 'export const doctor = defineCommand({})',
      'src/cli/commands.ts': "export const c = { doctor: async () => (await import('./doctor.ts')).doctor }",
      'src/models/rope.ts': 'export const rope = (x) => x',
    },
    bad: [
      [
        { 'src/models/bert.ts': 'export const bert = defineModel({})', 'src/models/index.ts': '' },
        'bert.ts: is not registered',
      ],
      [{ 'src/tasks/metrics/f1.ts': 'export const f1 = defineMetric<F1>({})' }, 'f1.ts: is not registered'],
      [
        { 'src/cli/x.ts': 'export const x = defineCommand({})', 'src/cli/commands.ts': "// import('./x.ts')" },
        'x.ts: is not registered',
      ],
    ],
  },
  {
    rule: rules.nothingIsDead,
    good: { 'src/core/index.ts': "export * from './a.ts'", 'src/core/a.ts': '', 'src/core/a.test.ts': '' },
    bad: [[{ 'src/core/a.ts': '', 'src/core/a.test.ts': "import './a.ts'" }, 'src/core/a.ts: nothing imports it']],
  },
  {
    rule: rules.typesAreNotCompared,
    good: { 'src/training/a.ts': "if (event.type === 'step' || task.type === other.type) f(model.type)" },
    bad: [
      [{ 'src/training/a.ts': "if (config.model.type === 'bert') f()" }, 'compares a type'],
      [{ 'src/training/a.ts': "if ('lora' !== run.adapter.type) f()" }, 'compares a type'],
      [{ 'src/export/a.ts': 'switch (model.type) {}' }, 'switches on a type'],
    ],
  },
  {
    rule: rules.codeHasOneStyle,
    good: {
      'src/core/a.ts':
        'export const f = () => 1\nexport function* g() {}\nfunction over(a: 1): 1\nfunction over(a: 2): 2\nfunction fail(): never {\n}\n',
      'src/core/b.ts':
        'export const table = { early }\nfunction early() {\n}\nclass A {\n  #x = 1\n  private constructor() {}\n}\n',
    },
    bad: [
      [{ 'src/core/a.ts': 'export async function f(): Promise<void> {\n}\n' }, 'f is no arrow function'],
      [{ 'src/core/a.ts': 'class A {\n  private x = 1\n}\n' }, 'is not #private'],
    ],
  },
  {
    rule: rules.hintsNameTheCall,
    good: {
      'src/cli/a.ts':
        "// `tunesmith resume` continues.\nexport const a = { example: 'tunesmith a --b', notes: ['bash: tunesmith completion bash'] }\nconst format = 'tunesmith-corpus'\nconst log = 'Run ' + programCall('resume', out)\n",
    },
    bad: [
      [{ 'src/runs/a.ts': 'throw new Error(`Continue it (\\`tunesmith resume \\`).`)' }, 'without programCall'],
      [{ 'src/cli/a.ts': "log('Next: npx tunesmith doctor')" }, 'without programCall'],
      [{ 'src/cli/a.ts': "log('Run tunesmith --help.')" }, 'without programCall'],
      [{ 'src/core/a.ts': "log('Run `npm run setup`.')" }, 'without programCall'],
    ],
  },
  {
    rule: rules.castsHaveReasons,
    good: { 'src/core/a.ts': '// The check above has looked at every field.\nconst a = b as unknown as A\n' },
    bad: [
      [{ 'src/core/a.ts': 'const url = `https://x`\nconst a = b as unknown as A\n' }, 'src/core/a.ts:2: casts without'],
    ],
  },
  {
    rule: rules.ordersAreTheSameEverywhere,
    good: { 'src/core/a.ts': '// Unlike localeCompare.\nnames.sort(byCodeUnits)\n' },
    bad: [[{ 'src/core/a.ts': 'names.sort((a, b) => a.localeCompare(b))' }, 'depends on the language']],
  },
  {
    rule: rules.nothingIsUnfinished,
    good: { 'src/core/a.ts': "// what is left to do is in the issues\nconst photo = 'todo'" },
    bad: [
      [{ 'src/core/a.ts': `// ${'TO'}${'DO'}: later` }, 'is unfinished'],
      [{ 'native/a.cpp': `/* ${'FIX'}${'ME'} */` }, 'is unfinished'],
    ],
  },
  {
    rule: rules.nothingIsLocal,
    good: {
      'package-lock.json': '"resolved": "https://registry.npmjs.org/zod/-/zod-4.6.7.tgz"',
      'README.md': 'cd ~/work/x, https://host/root/x, ./work/x, <home>/work/x',
    },
    bad: [
      [{ 'package-lock.json': '"resolved": "https://mirror.example/zod.tgz"' }, 'not the public registry'],
      [{ 'README.md': `see /${'root'}/x` }, 'one machine'],
      [{ 'scripts/a.mjs': `const path = '/${'home'}/alice/x'` }, 'one machine'],
      [{ '.npmrc': `registry=${'https'}://mirror.example/` }, 'names a package index'],
    ],
  },
  {
    rule: rules.filesIntroduceThemselves,
    good: {
      'src/core/a.ts': '// What it is.\n',
      'scripts/a.mjs': '#!/usr/bin/env node\n// What it is.\n',
      'src/a.test.ts': 'x',
    },
    bad: [[{ 'src/core/a.ts': "import 'x'\n" }, 'does not say']],
  },
]

describe.each(cases.map((entry) => [nameOf(entry.rule), entry] as const))('%s', (_name, { rule, good, bad }) => {
  it('finds what breaks it, and only that', () => {
    expect(rule(tree(good))).toEqual([])
    for (const [files, finding] of bad) expect(rule(tree(files)).join('\n'), JSON.stringify(files)).toContain(finding)
  })

  it('holds in this repository', () => {
    expect(rule(repository)).toEqual([])
  })
})

it('tests every rule', () => {
  const functions = Object.values(rules).filter((value) => typeof value === 'function')
  expect(new Set(functions)).toEqual(new Set(cases.map(({ rule }) => rule)))
})

it('reads the repository at all', () => {
  expect([...repository.keys()].filter((path) => path.startsWith('src/')).length).toBeGreaterThan(20)
  expect(repository.get('src/core/index.ts')).toContain('export')
})

function tree(files: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(files))
}

function nameOf(rule: rules.Rule): string {
  return Object.entries(rules).find(([, value]) => value === rule)?.[0] ?? 'a rule'
}
