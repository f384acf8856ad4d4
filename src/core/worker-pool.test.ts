import { describe, expect, it } from 'vitest'
import { DataError } from './errors.ts'
import { runPool } from './worker-pool.ts'

const url = new URL('./fixtures/square-worker.ts', import.meta.url)
type Task = { value: number; delayMs?: number; fault?: 'data' | 'plain' | 'exit' }

const collect = async (tasks: Iterable<Task> | AsyncIterable<Task>, size = 2): Promise<number[]> => {
  const results: number[] = []
  for await (const result of runPool<Task, number>({ url, size, tasks })) results.push(result)
  return results
}

describe('runPool', () => {
  it('gives results in the order of the tasks, whichever worker is done first', async () => {
    const tasks = Array.from({ length: 20 }, (_, value) => ({ value, delayMs: value % 3 === 0 ? 15 : 0 }))
    expect(await collect(tasks)).toEqual(tasks.map(({ value }) => value * value))
  })

  it('reads an endless source only as far as it is used', async () => {
    let read = 0
    let closed = false
    async function* endless() {
      try {
        for (;;) yield { value: read++ }
      } finally {
        closed = true
      }
    }
    for await (const result of runPool<Task, number>({ url, size: 2, tasks: endless() })) if (result === 9 * 9) break
    expect(read).toBeLessThanOrEqual(9 + 1 + 4)
    expect(closed).toBe(true)
  })

  it('rethrows the error of a task with its class and fields', async () => {
    const error = await collect([{ value: 1 }, { value: 2, fault: 'data' }]).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(DataError)
    expect(error).toMatchObject({ message: 'corpus.jsonl:7: a bad line', file: 'corpus.jsonl', line: 7 })
    await expect(collect([{ value: 2, fault: 'plain' }])).rejects.toMatchObject({
      name: 'TypeError',
      message: 'not a number',
    })
  })

  it('does not hang when a worker dies or its file cannot load', async () => {
    await expect(collect([{ value: 1, fault: 'exit' }])).rejects.toThrow('ended early, with code 3')
    const missing = runPool({ url: new URL('./fixtures/none.ts', import.meta.url), size: 1, tasks: [1] })
    await expect(missing.next()).rejects.toThrow('none.ts')
  })

  it('stops at an abort, also while it waits for a task or a slow source', async () => {
    const controller = new AbortController()
    const slow = runPool({ url, size: 1, tasks: [{ value: 1, delayMs: 60_000 }], signal: controller.signal })
    const waiting = expect(slow.next()).rejects.toThrow('enough')
    setTimeout(() => controller.abort(new Error('enough')), 50)
    await waiting
    const silent = new AbortController()
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
    const stuck = expect(runPool({ url, size: 1, tasks: never, signal: silent.signal }).next()).rejects.toThrow(
      'enough',
    )
    silent.abort(new Error('enough'))
    await stuck
  })
})
