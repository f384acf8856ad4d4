// A worker that computes on tensors handed to it: { job, shared?, seconds? } in, { ... } out. For workers.test.ts.
import { parentPort } from 'node:worker_threads'
import { liveTensors, ones, type SharedTensor, Tensor } from '../../src/tensor/index.ts'
import { trainRegression } from './regression.ts'

export interface Job {
  job: 'double' | 'write' | 'litter' | 'train' | 'spin' | 'fail' | 'modes'
  shared?: SharedTensor
}

const port = parentPort as NonNullable<typeof parentPort>

const jobs: Record<Job['job'], (job: Job) => unknown> = {
  double: ({ shared }) => {
    const given = Tensor.adopt(shared as SharedTensor)
    const doubled = given.mul(2).share()
    given.free()
    return { shared: doubled, live: liveTensors() }
  },
  write: ({ shared }) => {
    Tensor.adopt(shared as SharedTensor).fill_(7)
    return {}
  },
  litter: () => {
    const kept = Array.from({ length: 100 }, () => ones([1000]).keep())
    return { live: liveTensors(), kept: kept.length }
  },
  train: () => ({ weights: trainRegression() }),
  spin: () => {
    port.postMessage({ started: true })
    for (;;) trainRegression()
  },
  fail: () => ones([2, 3]).matmul(ones([2, 3])),
  modes: () => ({ requiresGrad: ones([1]).mul(1).requiresGrad }),
}

port.on('message', (job: Job) => {
  try {
    port.postMessage(jobs[job.job](job))
  } catch (error) {
    port.postMessage({ error: (error as Error).message, name: (error as Error).name })
  }
})
