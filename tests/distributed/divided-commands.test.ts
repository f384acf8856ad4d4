// Commands under a launch divide their work among its processes or leave it to the first one, and write what one process writes, byte for
// byte; those that run alone are refused. The reference is one process. All commands run one after the other in one group, as starting processes takes longer than they do.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { launchProcesses } from '../../src/distributed/index.ts'
import { type FinetuneInput, finetune, type PretrainInput, pretrain } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import { type CommandOutcome, runCommands } from './fixtures/run-commands.ts'
import { makeParallelRecipes } from './parallel-recipes.ts'
import { orKillRanks, rankMinutes } from './rank-processes.ts'

const processes = 3
/** What several processes refuse, and so is not run by one. */
const refused = ['predict other texts', 'corpus build', 'export another folder']
const fixture = new URL('./fixtures/commands-rank.ts', import.meta.url)
const short = { budget: { steps: 6 }, evaluate: {}, keep: {}, average: undefined, checkpoint: {} }

let made: Awaited<ReturnType<typeof makeParallelRecipes>>
let one: CommandOutcome[]
let divided: CommandOutcome[][]

const at = (name: string) => join(made.root, name)
/** More texts than a batch has, of many lengths. */
const words = ['old', 'house', 'river', 'walks', 'green', 'bird', 'stone']
const texts = Array.from({ length: 22 }, (_, i) =>
  [`the ${words[i % 7]} ${words[(3 * i) % 5]}`, ...words.slice(i % 6)].join(' over '),
)

/** Command lines by name; `{who}` tells the files of one process from those of several. */
const lines = (): Record<string, string[]> => {
  const [causal, classes, base] = ['causal', 'classes', 'base'].map((name) => at(join(name, 'model')))
  const sampled = ['--sample', '--seed', '3', '--num-return-sequences', '2', '--max-new-tokens', '8']
  const choices = ['--task', 'ranked-choices', '--data', at('choices.jsonl'), '--predictions', at('{who}-ranks.jsonl')]
  const pairs = [
    ...['--task', 'preferences', '--data', at('pairs.jsonl'), '--reference', causal],
    ...['--predictions', at('{who}-pairs.jsonl')],
  ]
  const summaries = ['--task', 'summarization', '--data', at('summaries.jsonl')]
  const fitted = ['--base', base, '--task', 'sequence-classification', '--data', at('rows.jsonl')]
  const columns = ['--text-column', 'review', '--label-column', 'stars']
  return {
    generate: ['generate', '--model', causal, '--input', at('texts.txt'), ...sampled, '--out', at('{who}-texts.jsonl')],
    'generate with beams': ['generate', '--model', causal, '--input', at('texts.txt'), '--num-beams', '2'],
    'generate one text': ['generate', '--model', causal, '--prompt', 'the house', '--max-new-tokens', '5'],
    embed: [
      'embed',
      '--model',
      base,
      '--input',
      at('texts.txt'),
      '--batch-tokens',
      '40',
      '--out',
      at('{who}-vectors.npy'),
    ],
    'embed with a cache': [
      ...['embed', '--model', base, '--input', at('texts.txt'), '--batch-tokens', '40', '--pooling', 'tokens'],
      ...['--cache', at('{who}-cache'), '--out', at('{who}-tokens.safetensors')],
    ],
    predict: ['predict', '--model', classes, '--input', at('texts.txt'), '--json'],
    'evaluate a task': [
      ...['evaluate', '--model', classes, '--data', at('rows.jsonl'), '--json'],
      ...['--predictions', at('{who}-predictions.jsonl')],
    ],
    'evaluate generated answers': [
      ...['evaluate', '--model', causal, ...summaries, '--settings.max-new-tokens', '6', '--json'],
      ...['--predictions', at('{who}-summaries.jsonl')],
    ],
    'evaluate preferences': ['evaluate', '--model', causal, ...pairs, '--json'],
    'evaluate ranked choices': ['evaluate', '--model', causal, ...choices, '--json'],
    'evaluate language modelling': [
      ...['evaluate', '--model', base, '--task', 'language-modelling', '--data', at('shards')],
      ...['--batch-tokens', '64', '--json'],
    ],
    'fine-tune on features': [
      ...['finetune', ...fitted, ...columns, '--variant', 'feature-based', '--adapter.batch-tokens', '64'],
      ...['--adapter.cache', at('{who}-features'), '--out', at('{who}-learned'), '--json'],
    ],
    'compare every model on every task': [
      ...[
        'compare',
        at('classes'),
        '--matrix',
        '--limit',
        '30',
        '--corpus',
        at('shards'),
        '--html',
        at('{who}-page.html'),
      ],
    ],
    export: ['export', at('classes'), '--to', 'merged', '--no-prove', '--out', at('{who}-exported'), '--json'],
    'predict other texts': ['predict', '--model', classes, '--text', 'the house {rank}'],
    'corpus build': ['corpus', 'build', '--source', `text:${at('texts.txt')}`, '--out', at('corpus')],
    'export another folder': ['export', at('classes'), '--to', 'merged', '--out', at('exported-{rank}')],
  }
}

/** What is written, without the time it took. */
const withoutTimes = (text: string): string => text.replace(/"(\w*[sS]econds|tokensPerSecond)":[\d.e+-]+/g, '"$1":0')

beforeAll(async () => {
  setThreads(1)
  made = await makeParallelRecipes()
  await pretrain(made.causal('causal', short) as PretrainInput)
  await finetune(made.classes('classes', { budget: { steps: 6 } }) as unknown as FinetuneInput)
  const rows = (file: string, all: readonly object[]) =>
    writeFileSync(at(file), all.map((row) => `${JSON.stringify(row)}\n`).join(''))
  writeFileSync(at('texts.txt'), texts.join('\n'))
  rows(
    'choices.jsonl',
    texts.map((text, i) => ({ text, choices: ['walks', 'green stone', `${i}`], label: i % 3 })),
  )
  rows(
    'pairs.jsonl',
    texts.map((prompt, i) => ({ prompt, chosen: ` river ${i}`, rejected: ` green ${i}` })),
  )
  rows(
    'summaries.jsonl',
    texts.map((text, i) => ({ text, summary: `river ${i}` })),
  )
  const file = at('commands.json')
  const all = Object.values(lines())
  writeFileSync(file, JSON.stringify(all))
  one = await runCommands(all.slice(0, -refused.length), 'one')
  const before = { ...process.env }
  Object.assign(process.env, {
    OMP_NUM_THREADS: '1',
    TUNESMITH_HEARTBEAT_SECONDS: '60',
    TUNESMITH_CONNECT_SECONDS: '120',
  })
  const command = [process.execPath, await bundledChild(fixture), file, 'several'] as const
  const errors: string[] = []
  const launch = launchProcesses({
    processes,
    command: [...command],
    onLine: (rank, line) => errors.push(`${rank} ${line}`),
  })
  try {
    const { exitCode } = await orKillRanks(launch, rankMinutes)
    expect(exitCode, errors.join('\n')).toBe(0)
  } finally {
    process.env = before
  }
  divided = Array.from({ length: processes }, (_, rank) => JSON.parse(readFileSync(`${file}.${rank}`, 'utf8')))
})
afterAll(() => made.dispose())

const written = [
  'texts.jsonl',
  'vectors.npy',
  'tokens.safetensors',
  'predictions.jsonl',
  'summaries.jsonl',
  'pairs.jsonl',
  'ranks.jsonl',
  'page.html',
  'learned/model/learner.safetensors',
  'learned/model/predictions.jsonl',
  'exported/merged/model.safetensors',
]

it.each(written)('writes the file of one process: %s', (name) => {
  const [own, all] = ['one', 'several'].map((who) => readFileSync(at(`${who}-${name}`)))
  expect(own.length).toBeGreaterThan(texts.length)
  expect(all.equals(own)).toBe(true)
})

it('shows what one process shows, on the first process alone', () => {
  const commands = Object.keys(lines()).filter((name) => !refused.includes(name))
  for (const [i, name] of commands.entries()) {
    expect(one[i].exitCode, `${name}: ${one[i].stderr}`).toBe(0)
    for (const [rank, outcomes] of divided.entries()) {
      const { exitCode, stdout, stderr } = outcomes[i]
      expect(exitCode, `${name}: ${stderr}`).toBe(0)
      const shown = rank === 0 ? withoutTimes(one[i].stdout).replaceAll('one-', 'several-') : ''
      // `embed` says how long it took.
      expect(withoutTimes(stdout).replace(/, \d.*/, ''), name).toBe(shown.replace(/, \d.*/, ''))
      if (rank > 0) expect(stderr, name).toBe('')
    }
  }
})

it('keeps the features of all processes in one cache', () => {
  const filesOf = (folder: string) => readdirSync(at(folder), { recursive: true }).sort()
  for (const name of ['cache', 'features']) {
    expect(filesOf(`one-${name}`).length).toBeGreaterThan(2)
    expect(filesOf(`several-${name}`)).toEqual(filesOf(`one-${name}`))
  }
})

/** How a refused command ended on each process. */
const refusals = (name: string): CommandOutcome[] =>
  divided.map((outcomes) => outcomes[Object.keys(lines()).indexOf(name)])

it.each(['predict other texts', 'export another folder'])('refuses other options on other processes: %s', (name) => {
  for (const { exitCode, stderr } of refusals(name)) {
    expect(exitCode).not.toBe(0)
    expect(stderr).toMatch(/Expected the same options on every process, got .* on Rank 0 .* and .* on Rank 1 /)
  }
  for (let rank = 0; rank < processes; rank++) expect(existsSync(at(`exported-${rank}`))).toBe(false)
})

it('refuses what uses all cores by itself, before any work', () => {
  for (const { exitCode, stderr } of refusals('corpus build')) {
    expect(exitCode).toBe(2)
    expect(stderr).toBe(
      'error: Expected one process for `corpus build`, got 3 of launch: start it without a launcher.\n',
    )
  }
  expect(existsSync(at('corpus'))).toBe(false)
})
