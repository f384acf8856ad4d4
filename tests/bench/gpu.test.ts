// The benchmark of cards: what it reads of nvidia-smi, why it refuses a machine, and how it keeps to its time. What it measures is shown by
// `npm run bench -- gpu --smoke`.
import { describe, expect, it } from 'vitest'
import { lastJson, PartClock, runWithin } from '../../bench/gpu/budget.ts'
import { type Card, expectCard, parseCards, peakOf } from '../../bench/gpu/card.ts'
import { differenceOf } from '../../bench/gpu/differences.ts'
import { gpuJob, gpuJobs } from '../../bench/gpu/jobs.ts'
import { buildFacts } from '../../src/tensor/index.ts'

const h100: Card = { name: 'NVIDIA H100 80GB HBM3', driver: '550.54.15', totalMb: 81_559, freeMb: 81_000 }

describe('a card', () => {
  it('is read from nvidia-smi', () => {
    expect(parseCards('NVIDIA H100 80GB HBM3, 550.54.15, 81559, 81000\nTesla T4, 550.54.15, 15360, 10\n')).toEqual([
      h100,
      { name: 'Tesla T4', driver: '550.54.15', totalMb: 15_360, freeMb: 10 },
    ])
    expect(parseCards('No devices were found')).toEqual([])
  })

  it.each([
    ['NVIDIA H100 80GB HBM3', 989e12],
    ['NVIDIA H100 PCIe', 756e12],
    ['Tesla T4', 65e12],
    ['NVIDIA A100-SXM4-40GB', 312e12],
    ['NVIDIA GeForce RTX 4090', 165e12],
    ['NVIDIA L40S', 362e12],
    ['NVIDIA Quadro 1000', undefined],
  ])('%s has the peak of the planner', (name, peak) => {
    expect(peakOf(name)).toBe(peak)
  })

  const facts = { cuda: true, cudaDevices: 1 }
  it('that is free is measured, and the one of its number', () => {
    expect(expectCard('cuda', [h100], facts)).toBe(h100)
    const second = { ...h100, name: 'second' }
    expect(expectCard('cuda:1', [h100, second], { ...facts, cudaDevices: 2 })).toBe(second)
    expect(() => expectCard('cuda:1', [h100], facts)).toThrow(/device cuda:1, got 1 of nvidia-smi/)
  })

  it.each<[string, Card[], object, RegExp]>([
    [
      'with an old driver',
      [h100],
      { cudaDevices: 0 },
      /^Expected a driver that this libtorch can use, got 550\.54\.15 for NVIDIA H100 .* setup -- --cuda\.$/,
    ],
    [
      'that is full',
      [{ ...h100, freeMb: 900 }],
      {},
      /^Expected \d+ MB of free memory on NVIDIA H100 80GB HBM3, got 900 of 81559 MB\. End what uses the card/,
    ],
  ])('%s is refused in one line', (_, cards, more, message) => {
    expect(() => expectCard('cuda', cards, { ...facts, ...more })).toThrow(message)
  })

  it.skipIf(buildFacts().cudaDevices > 0)(
    'that is not there is refused in one line (skipped where there is one)',
    () => {
      expect(() => expectCard('cuda', [])).toThrow(/^Expected a valid `device`, got "cuda"\. [^\n]*$/)
    },
  )
})

describe('the largest difference', () => {
  it('is relative to the largest value of its case', () => {
    expect(differenceOf({ a: [1, -10], b: [1] }, { a: [1, -9], b: [1.05] })).toEqual({
      cases: 2,
      largest: 0.1,
      where: 'a',
    })
    expect(differenceOf({ a: [0] }, { a: [0] }).largest).toBe(0)
  })

  it('is infinite for a value that is no number, and other cases are no parity', () => {
    expect(differenceOf({ a: [1] }, { a: [Number.NaN] }).largest).toBe(Number.POSITIVE_INFINITY)
    expect(() => differenceOf({ a: [1] }, { b: [1] })).toThrow('Expected the cases a, got b.')
    expect(() => differenceOf({ a: [1] }, { a: [1, 2] })).toThrow('a: Expected 1 values, got 2.')
  })
})

describe('a process within the time of its part', () => {
  const node = (code: string) => [process.execPath, '-e', code]

  it('gives its lines', async () => {
    const outcome = await runWithin(new PartClock(60), node('console.log(1); console.log(JSON.stringify({ a: 2 }))'))
    expect(outcome).toEqual({ lines: ['1', '{"a":2}'] })
    expect(lastJson(outcome)).toEqual({ a: 2 })
  })

  it('is ended with its children when the time is over, and what it said before is kept', async () => {
    const code = `console.log('first'); require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)'], { stdio: 'inherit' })`
    const outcome = await runWithin(new PartClock(6), node(code))
    expect(outcome).toMatchObject({ fault: 'did not end in 6 s', printed: ['first'] })
  })

  it('is not started without time, and its fault is a line', async () => {
    expect(await runWithin(new PartClock(1), node(''))).toEqual({ fault: 'no time was left' })
    const failed = await runWithin(new PartClock(60), node('console.error("why"); process.exit(3)'))
    expect(failed).toEqual({ fault: 'ended with 3: why', printed: [] })
    expect(await runWithin(new PartClock(60), ['/no/such/python'])).toMatchObject({
      fault: expect.stringContaining('ENOENT'),
    })
    expect(lastJson({ lines: ['no JSON'] })).toEqual({ fault: 'printed no JSON line' })
  })
})

it('jobs have a tiny form, and unknown ones are refused', () => {
  for (const name of Object.keys(gpuJobs)) {
    expect(gpuJob(name, true).config.hiddenSize).toBe(64)
    expect(gpuJob(name, false).peer.settings.vocab_size).toBe(gpuJob(name, false).config.vocabSize)
  }
  expect(() => gpuJob('none', false)).toThrow('Expected a job (gpt2-small, bert-base, llama-1b-lora), got none.')
})
