// Plans beside other work of the same thread, which computes as always; and a plan ends while its own garbage is collected, in a process of
// its own, whose small young generation is collected often.
import { spawnSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { freeTensors, isPlanning, noteMark, notePhase, plan, Tensor, zeros } from './index.ts'

const script = `
const { notePhase, plan, zeros } = await import('${new URL('./index.ts', import.meta.url).href}')
for (let i = 0; i < 20; i++)
  await plan(() => {
    for (let k = 0; k < 3000; k++) {
      notePhase('a phase whose name takes memory of JavaScript, number ' + k)
      zeros([64, 64]).add(1)
    }
  })
console.log('ended')
`

it('ends although making its record frees tensors of the plan', () => {
  const words = ['--max-semi-space-size=1', '--import', 'tsx', '--input-type=module', '-e', script]
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const run = spawnSync(process.execPath, words, { cwd, encoding: 'utf8', timeout: 120_000 })
  expect(`${run.stdout}${run.stderr}`).toContain('ended')
})

/** Work of a plan that waits in every way: for promises, timers, files, and callbacks. */
const waiting = async (): Promise<number> => {
  let values = zeros([8, 8])
  const ways = [
    () => Promise.resolve(),
    () => setImmediate(),
    () => setTimeout(1),
    () => readFile(fileURLToPath(import.meta.url)),
    () => new Promise((resolve) => process.nextTick(resolve)),
  ]
  for (const [i, wait] of [...ways, ...ways].entries()) {
    notePhase(`phase ${i}`)
    // Freed here: the garbage collector would free it at some other time in each plan.
    const before = values
    values = before.matmul(before)
    freeTensors([before])
    await wait()
    if (!isPlanning()) throw new Error(`Computes after ${wait}.`)
    noteMark(i)
  }
  return values.shape[0]
}

describe('beside a plan', () => {
  it('other work computes, and the plan counts what it counts alone', async () => {
    const alone = await plan(waiting)
    let ended = false
    const sums: number[] = []
    const compute = async (wait: () => Promise<unknown>) => {
      while (!ended) {
        expect(isPlanning()).toBe(false)
        noteMark('of no plan')
        const values = Tensor.from([1, 2, 3]).add(1)
        await wait()
        sums.push(values.sum().item())
      }
    }
    const others = [compute(() => Promise.resolve().then(() => setImmediate())), compute(() => setTimeout(0))]
    const beside = plan(waiting)
    // The caller goes on while the plan waits for its turn.
    expect(zeros([2]).add(1).toArray()).toEqual([1, 1])
    const { result, peakBytes, operations, marks } = await beside
    ended = true
    await Promise.all(others)
    expect(sums.length).toBeGreaterThan(10)
    expect(new Set(sums)).toEqual(new Set([9]))
    expect({ result, peakBytes, operations, marks }).toEqual({
      result: alone.result,
      peakBytes: alone.peakBytes,
      operations: alone.operations,
      marks: alone.marks,
    })
  })

  it('a listener that the plan calls is planned, and work that others began is not', async () => {
    const events = new EventEmitter()
    const seen: boolean[] = []
    events.on('event', () => seen.push(isPlanning()))
    const before = setImmediate().then(() => seen.push(isPlanning()))
    await plan(async () => {
      events.emit('event')
      await before
      await setTimeout(5)
      events.emit('event')
    })
    events.emit('event')
    expect(seen).toEqual([true, false, true, false])
  })

  it('another plan waits until it has ended', async () => {
    const alone = await plan(waiting)
    const both = await Promise.all([plan(waiting), plan(waiting)])
    for (const { peakBytes, operations } of both)
      expect({ peakBytes, operations }).toEqual({ peakBytes: alone.peakBytes, operations: alone.operations })
    await expect(plan(() => Promise.reject(new Error('stopped')))).rejects.toThrow('stopped')
    expect((await plan(waiting)).peakBytes).toBe(alone.peakBytes)
  })
})
