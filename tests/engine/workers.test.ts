// The engine in worker threads: loading, tensors handed over, tensors of a worker that ended, and computing side by side.
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { startWorker } from '../../src/core/index.ts'
import { liveTensors, noGrad, ones, type SharedTensor, scope, Tensor } from '../../src/tensor/index.ts'
import type { Job } from './compute-worker.ts'
import { trainRegression } from './regression.ts'

interface Answer {
  shared: SharedTensor
  live: number
  weights: number[]
  requiresGrad: boolean
  error: string
  name: string
}

const start = () => startWorker(new URL('./compute-worker.ts', import.meta.url))

const ask = async (worker: Worker, job: Job): Promise<Answer> => {
  worker.postMessage(job)
  const [answer] = await once(worker, 'message')
  return answer as Answer
}

const withWorker = async (body: (worker: Worker) => Promise<void>) => {
  const worker = start()
  try {
    await body(worker)
  } finally {
    await worker.terminate()
  }
}

describe('a worker', () => {
  it('receives a tensor and returns one', () =>
    withWorker(async (worker) => {
      const before = liveTensors({ allThreads: true })
      const mine = ones([3])
      const { shared, live } = await ask(worker, { job: 'double', shared: mine.share() })
      const back = Tensor.adopt(shared)
      expect(back.toArray()).toEqual([2, 2, 2])
      expect(mine.toArray()).toEqual([1, 1, 1])
      back.free()
      mine.free()
      expect(live).toBeLessThanOrEqual(1)
      expect(liveTensors()).toBeLessThanOrEqual(before)
    }))

  it('shares the memory of a tensor', () =>
    withWorker(async (worker) => {
      const mine = ones([3])
      await ask(worker, { job: 'write', shared: mine.share() })
      expect(mine.toArray()).toEqual([7, 7, 7])
    }))

  it('leaks no tensors when it ends', async () => {
    const before = liveTensors({ allThreads: true })
    await withWorker(async (worker) => {
      const { live } = await ask(worker, { job: 'litter' })
      expect(live).toBeGreaterThanOrEqual(100)
      // Tensors of this thread that were garbage before may be gone by now, so its count does not say more.
      expect(liveTensors({ allThreads: true })).toBeGreaterThanOrEqual(live)
    })
    expect(liveTensors({ allThreads: true })).toBeLessThanOrEqual(before)
  })

  it('has its own gradient mode', () =>
    withWorker(async (worker) => {
      const { requiresGrad } = await ask(worker, { job: 'modes' })
      expect(requiresGrad).toBe(false)
      noGrad(() => undefined)
    }))

  it('gets typed errors', () =>
    withWorker(async (worker) => {
      const { name, error } = await ask(worker, { job: 'fail' })
      expect(name).toBe('ShapeError')
      expect(error).toMatch(/^matmul\(\[2, 3\] float32, \[2, 3\] float32\): /)
    }))

  it.each([1, 2, 3])('that is terminated while it trains leaves the main thread healthy (%i)', async () => {
    const before = liveTensors({ allThreads: true })
    const expected = trainRegression()
    const worker = start()
    await ask(worker, { job: 'spin' })
    await new Promise((resume) => setTimeout(resume, 50))
    await worker.terminate()
    expect(trainRegression()).toEqual(expected)
    expect(liveTensors({ allThreads: true })).toBeLessThanOrEqual(before)
  })
})

describe('several threads at once', () => {
  it('compute the same bits as one alone', async () => {
    const expected = trainRegression()
    const workers = [start(), start()]
    try {
      const answers = workers.map((worker) => ask(worker, { job: 'train' }))
      const mine = Array.from({ length: 5 }, trainRegression)
      for (const answer of answers) expect((await answer).weights).toEqual(expected)
      for (const one of mine) expect(one).toEqual(expected)
    } finally {
      for (const worker of workers) await worker.terminate()
    }
  })
})

describe('a shared tensor', () => {
  it('is adopted once', () => {
    const mine = ones([2])
    const token = mine.share()
    const first = Tensor.adopt(token)
    first.free()
    expect(() => Tensor.adopt(token)).toThrow(/freed/)
    expect(mine.toArray()).toEqual([1, 1])
  })

  it('survives the scope in which it was created', () => {
    const token = scope(() => ones([2]).share())
    expect(Tensor.adopt(token).toArray()).toEqual([1, 1])
  })

  it.each([
    undefined,
    null,
    {},
    { sharedTensor: 'x' },
    { sharedTensor: 12345 },
    { sharedTensor: Number.NaN },
    { sharedTensor: -1 },
    { sharedTensor: 2 ** 60 },
  ])('is not %o', (token) => {
    expect(() => Tensor.adopt(token as never)).toThrow(/^[^\n]+$/)
  })
})
