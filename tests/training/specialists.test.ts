// One base and many specialists in one process: each says what it says alone, and memory is one base and the small parts.
import { spawn } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadAdapter } from '../../src/adapters/index.ts'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { loadFeatureModel } from '../../src/features/index.ts'
import { type FinetuneInput, finetune, openSpecialists, pretrain } from '../../src/runs/index.ts'
import { predictTask, type TaskDefinition, taskConfig, tasks } from '../../src/tasks/index.ts'
import { memoryStatistics } from '../../src/tensor/index.ts'
import { repository, runHere } from '../e2e/run-folder.ts'
import { program } from '../setup/program.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
const at = (...names: string[]) => join(data.root, ...names)
const sentences = ['the house green', 'a river stone', 'old bird green', 'rain and stone', 'light of the house green']
const linesOf = (rowOf: (text: string, i: number) => object) =>
  Array.from({ length: 40 }, (_, i) => JSON.stringify(rowOf(sentences[i % 5], i))).join('\n')

/** Each of another task and by another variant. */
const wanted = {
  stars: {
    task: 'sequence-classification',
    variant: 'lora',
    row: (text: string, i: number) => ({ text, label: ['bad', 'good'][i % 2] }),
  },
  topic: {
    task: 'sequence-classification',
    variant: 'pfeiffer',
    row: (text: string, i: number) => ({ text, label: ['x', 'y', 'z'][i % 3] }),
  },
  length: { task: 'regression', variant: 'bitfit', row: (text: string) => ({ text, label: text.length }) },
  names: {
    task: 'token-classification',
    variant: 'prefix-tuning',
    row: (text: string) => ({ tokens: text.split(' '), tags: text.split(' ').map((_, i) => (i === 0 ? 'B-X' : 'O')) }),
  },
  answers: {
    task: 'extractive-qa',
    variant: 'ia3',
    row: (text: string, i: number) => ({
      id: String(i),
      question: 'what?',
      context: text,
      answers: { text: [text.split(' ')[1]], answer_start: [text.indexOf(' ') + 1] },
    }),
  },
} as const
const names = Object.keys(wanted) as (keyof typeof wanted)[]

/** The base has 64 positions. */
const settingsOf = (name: keyof typeof wanted) => (name === 'answers' || name === 'names' ? { stride: 8 } : {})

beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 4 } }))
  for (const name of names) {
    const { task, variant, row } = wanted[name]
    writeFileSync(at(`${name}.jsonl`), linesOf(row))
    await finetune({
      base: at('base'),
      task,
      variant,
      settings: settingsOf(name),
      data: at(`${name}.jsonl`),
      out: at(name),
      batch: { sequences: 8 },
      budget: { steps: 6 },
      learningRate: 0.02,
      untrainedBaseline: false,
    } as FinetuneInput)
  }
})
afterAll(() => data.dispose())

const folders = () => Object.fromEntries(names.map((name) => [name, at(name)]))
const question = { text: 'a river green', question: 'what?', context: 'the old bird walks' }

/** What a specialist says in a process of its own. */
const alone = async (name: keyof typeof wanted, fields: object) => {
  const task = tasks[wanted[name].task] as unknown as TaskDefinition
  const config = taskConfig(task, settingsOf(name))
  const { model, applied } = await loadAdapter(at(name, 'model'))
  const tokenizer = await loadTokenizer(at('base'))
  const maxLength = Math.min(model.facts.maxPositions ?? 512, 512) - applied.virtualTokens
  const records = [task.recordFromInput({ ...fields }, '0', config)]
  return (await predictTask(model, tokenizer, task, records, config, { maxLength })).predictions[0]
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
/** Frees what earlier work has dropped, so that only what is held counts. */
const collect = async () => {
  for (let i = 0; i < 2; i++) {
    collectGarbage()
    await setImmediate()
  }
}

describe('specialists', () => {
  it('say what they say alone, in any order and at once', async () => {
    const specialists = await openSpecialists(at('base'), folders())
    expect(specialists.names).toEqual(names)
    expect(names.map((name) => specialists.taskOf(name))).toEqual(names.map((name) => wanted[name].task))
    expect(specialists.labelsOf('topic')).toEqual(['x', 'y', 'z'])
    const expected = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await alone(name, question)] as const)),
    )
    // All at once, twice, backwards the second time: switches leave nothing behind.
    const asked = [...names, ...[...names].reverse()]
    const said = await Promise.all(asked.map((name) => specialists.query(name, [{ ...question, id: '0' }])))
    said.forEach(({ predictions }, i) => {
      expect(predictions[0], asked[i]).toEqual(expected[asked[i]])
    })
    const all = await specialists.queryAll([
      { text: 'the house' },
      { ...question, id: 'q', specialist: 'answers' },
      { text: 'light', specialist: 'stars' },
    ])
    // A text alone is no question for the one that looks for answers.
    expect(all.map(({ id, specialist }) => `${id} ${specialist}`)).toEqual([
      ...names.filter((name) => name !== 'answers').map((name) => `0 ${name}`),
      'q answers',
      '2 stars',
    ])
    await expect(specialists.queryAll([{ specialist: 'nobody', text: 'x' }])).rejects.toThrow(/stars, topic/)
    await expect(specialists.queryAll([{ context: 'x' }])).rejects.toThrow(/Query 1 to all specialists/)
    await specialists.close()
  })

  it('cost one base and their own small parts, to the byte', async () => {
    const grown = async (work: () => Promise<unknown>): Promise<number> => {
      await collect()
      const before = memoryStatistics().inUse
      await work()
      await collect()
      return memoryStatistics().inUse - before
    }
    const empty = await openSpecialists(at('base'), {})
    const { base } = empty.memory()
    expect(base).toBeGreaterThan(0)
    const copies: number[] = []
    for (let i = 0; i < 4; i++) {
      const name = `copy${i}`
      const bytes = await grown(() => empty.add(name, at('stars')))
      const own = empty.memory().specialists[name]
      expect(bytes).toBe(own)
      copies.push(own)
    }
    expect(new Set(copies).size).toBe(1)
    expect(empty.memory().base).toBe(base)
    // LoRA's matrices and one head: just what its file holds.
    const file = readFileSync(at('stars', 'model', 'adapter_model.safetensors'))
    const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString())
    const stored = Object.values(header as Record<string, { data_offsets?: [number, number] }>).reduce(
      (sum, { data_offsets: [from, to] = [0, 0] }) => sum + to - from,
      0,
    )
    expect(copies[0]).toBe(stored)
    expect(copies[0]).toBeLessThan(base / 2)
    const freed = await grown(() => empty.remove('copy2'))
    expect(freed).toBe(-copies[0])
    expect((await empty.query('copy3', [{ text: 'the house' }])).predictions).toHaveLength(1)
    await empty.close()
  })

  it('answer from features of the base in memory, without a second one', async () => {
    for (const [name, task, adapter] of [
      ['stars', 'sequence-classification', {}],
      ['length', 'regression', { learner: 'mlp', hidden: [8] }],
      ['names', 'token-classification', { layer: 0 }],
    ] as const)
      await finetune({
        base: at('base'),
        task,
        variant: 'feature-based',
        adapter: { cache: at('cache'), ...adapter },
        data: at(`${name}.jsonl`),
        out: at(`features-${name}`),
        maxLength: 12,
      })
    const specialists = await openSpecialists(at('base'), { lora: at('stars') })
    const { base } = specialists.memory()
    const plain = await specialists.query('lora', [question])
    for (const name of ['stars', 'length', 'names'] as const) {
      await collect()
      const before = memoryStatistics().inUse
      await specialists.add(name, at(`features-${name}`))
      await collect()
      expect(memoryStatistics().inUse - before).toBeLessThan(base / 4)
      const own = specialists.memory().specialists[name]
      expect(own).toBeGreaterThan(0)
      expect(own).toBeLessThan(base / 4)
      // Right behind an adapter, whose change must not reach the features.
      await specialists.query('lora', [question])
      const [said] = (await specialists.query(name, [question])).predictions
      const { model } = await loadFeatureModel(at(`features-${name}`, 'model'))
      const task = tasks[wanted[name].task] as unknown as TaskDefinition
      const config = taskConfig(task, {})
      const records = [task.recordFromInput(question, '0', config)]
      const expected = await predictTask(model, await loadTokenizer(at('base')), task, records, config)
      expect(said).toEqual(expected.predictions[0])
    }
    expect(specialists.memory().base).toBe(base)
    expect(await specialists.query('lora', [question])).toMatchObject({ predictions: plain.predictions })
    await expect(specialists.add('stars', at('features-stars'))).rejects.toThrow(/unused name for a specialist/)
    await specialists.remove('stars')
    expect(specialists.names).toEqual(['lora', 'length', 'names'])
    await specialists.close()

    const given = ['--specialist', `stars=${at('features-stars')}`, '--text', 'rain', '--json']
    const asked = await runHere(['specialists', '--base', at('base'), ...given])
    expect(JSON.parse(asked.stdout).answers).toMatchObject([{ specialist: 'stars', label: expect.any(String) }])
    // Features of other weights are others, whatever the shapes.
    await pretrain(smallRecipe(data, at('stranger'), { budget: { steps: 5 } }))
    const other = await runHere(['specialists', '--base', at('stranger'), ...given])
    expect(other).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Expected the base of the fit.*other weights/),
    })
    await finetune({
      base: at('base'),
      randomInit: true,
      task: 'sequence-classification',
      variant: 'feature-based',
      adapter: { cache: at('cache') },
      data: at('stars.jsonl'),
      out: at('features-fresh'),
    })
    const fresh = ['--specialist', `fresh=${at('features-fresh')}`, '--text', 'rain']
    const random = await runHere(['specialists', '--base', at('base'), ...fresh])
    expect(random.stderr).toMatch(/Expected a randomly initialised base/)
  })

  it('answer lines of JSON, by name or all, and lines that come in', async () => {
    const input = at('questions.jsonl')
    // A byte order mark is no part of the first line.
    writeFileSync(
      input,
      ['\ufeff{"text":"a river green","specialist":"stars","id":7}', '', '{"text":"rain"}'].join('\n'),
    )
    const given = ['stars', 'length'].flatMap((name) => ['--specialist', `${name}=${at(name)}`])
    const { code, stdout, stderr } = await runHere(['specialists', '--base', at('base'), ...given, '--input', input])
    expect(code).toBe(0)
    expect(stderr).toMatch(/stars {2}\+[\d.]+ KiB, sequence-classification/)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ id, specialist }) => [id, specialist])).toEqual([
      ['7', 'stars'],
      ['3', 'stars'],
      ['3', 'length'],
    ])
    const { id: _, ...expected } = (await alone('stars', question)) as { id: string }
    expect(lines[0]).toEqual({ id: '7', specialist: 'stars', ...expected })
    const json = await runHere(['specialists', '--base', at('base'), ...given, '--text', 'rain', '--json'])
    expect(JSON.parse(json.stdout).answers).toHaveLength(2)

    // A line that is broken, or names nobody, is answered with its error, and the others with their answers.
    const faulty = ['{"text":"rain","specialist":"length"}', '{broken', '{"text":"rain","specialist":"nobody"}']
    writeFileSync(input, [...faulty, '{"text":"rain","specialist":"stars"}'].join('\n'))
    const some = await runHere(['specialists', '--base', at('base'), ...given, '--input', input])
    expect(some.code).toBe(0)
    const answers = some.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(answers).toMatchObject([
      { id: '1', specialist: 'length' },
      { id: '2', error: expect.stringMatching(/:2: Expected JSON/) },
      { id: '3', error: expect.stringMatching(/Expected the name of a specialist \(stars, length\), got "nobody"/) },
      { id: '4', specialist: 'stars' },
    ])

    // The same holds for lines that come in.
    const child = spawn(process.execPath, [...program, 'specialists', '--base', at('base'), ...given, '--input', '-'], {
      cwd: repository,
    })
    let answered = ''
    child.stdout.on('data', (chunk: Buffer) => {
      answered += chunk.toString()
      if (answered.trim().split('\n').length === 4) child.stdin.end()
    })
    child.stdin.write('{"text":"rain","specialist":"stars"}\n{broken\n{"text":"rain","specialist":"length"}\n')
    child.stdin.write('{"text":"rain","specialist":"nobody","id":"mine"}\n')
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0)
    const served = answered
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(served[0]).toMatchObject({ id: '1', specialist: 'stars' })
    expect(served[1]).toMatchObject({ id: '2', error: expect.stringMatching(/stdin:2: Expected JSON/) })
    expect(served[2]).toMatchObject({ id: '3', specialist: 'length' })
    expect(served[3]).toMatchObject({ id: 'mine', error: expect.stringMatching(/nobody/) })
  })

  it('name what does not fit', async () => {
    await finetune({
      base: at('base'),
      task: 'sequence-classification',
      data: at('stars.jsonl'),
      out: at('whole'),
      batch: { sequences: 8 },
      budget: { steps: 1 },
      untrainedBaseline: false,
    })
    const run = (...argv: string[]) => runHere(['specialists', '--base', at('base'), '--text', 'x', ...argv])
    expect((await run('--specialist', `whole=${at('whole')}`)).stderr).toMatch(/leaves its base unchanged.*lora/)
    expect((await run('--specialist', at('stars'))).stderr).toMatch(/NAME=FOLDER/)
    expect((await run('--specialist', `a=${at('stars')}`, '--specialist', `a=${at('topic')}`)).stderr).toMatch(/differ/)
    // Without its task it could be anything.
    cpSync(at('stars', 'model'), at('bare'), { recursive: true })
    rmSync(at('bare', 'task.json'))
    expect((await run('--specialist', `bare=${at('bare')}`)).stderr).toMatch(/task of the specialist bare/)
    const named = await openSpecialists(at('base'), { bare: { folder: at('bare'), task: 'sequence-classification' } })
    expect((await named.query('bare', [{ text: 'rain' }])).predictions).toHaveLength(1)
    await named.close()
    // Another base of the same shape is not refused, but said.
    cpSync(at('base', 'model'), at('other-base'), { recursive: true })
    const other = await runHere([
      'specialists',
      '--base',
      at('other-base'),
      '--text',
      'x',
      '--specialist',
      `s=${at('stars')}`,
    ])
    expect(other.stderr).toMatch(/s was trained on .*other base/)
    expect(other.code).toBe(0)
  })
})
