// Work in blocks of neighbours, without real processes: their exchange is one list for each call.
import { describe, expect, it } from 'vitest'
import { OutOfMemoryError } from '../core/index.ts'
import { type BlockWork, shareBlocks } from './divide-work.ts'
import type { ProcessGroup } from './process-group.ts'

/** Processes that gather through a list. */
const groupsOf = (size: number): ProcessGroup[] => {
  const calls: { values: unknown[]; waiting: ((all: unknown[]) => void)[] }[] = []
  return Array.from({ length: size }, (_, rank) => {
    let call = 0
    return {
      rank,
      size,
      planned: false,
      assemble: async () => {},
      gather: (value: unknown) =>
        new Promise<unknown[]>((resolve) => {
          calls[call] ??= { values: [], waiting: [] }
          const { values, waiting } = calls[call++]
          values[rank] = value
          waiting.push(resolve)
          if (waiting.length === size) for (const one of waiting) one(values)
        }),
    } as unknown as ProcessGroup
  })
}

const how = (seen: string[][], more: Partial<BlockWork<string, number>> = {}): BlockWork<string, number> => ({
  sizeOf: ({ length }) => length,
  work: async (own) => {
    seen.push([...own])
    return own.map(({ length }) => length)
  },
  standIn: () => -1,
  ...more,
})

describe('shareBlocks', () => {
  it('gives all processes all results in order, of blocks of about equal size', async () => {
    const items = ['aaaaaa', 'b', 'c', 'd', 'ee', 'fff', 'g']
    const seen: string[][] = []
    const results = await Promise.all(groupsOf(3).map((group) => shareBlocks(group, items, how(seen))))
    expect(results).toEqual(Array(3).fill(items.map(({ length }) => length)))
    expect(seen).toEqual([['aaaaaa'], ['b', 'c', 'd'], ['ee', 'fff', 'g']])
  })

  it('leaves out processes for which there is nothing', async () => {
    const seen: string[][] = []
    const results = await Promise.all(groupsOf(3).map((group) => shareBlocks(group, ['a'], how(seen))))
    expect(results).toEqual([[1], [1], [1]])
    expect(seen).toEqual([['a']])
    expect(await Promise.all(groupsOf(2).map((group) => shareBlocks(group, [], how(seen))))).toEqual([[], []])
  })

  it('ends on all processes where one runs out of memory', async () => {
    const work = async (own: readonly string[]): Promise<number[]> => {
      if (own.includes('b')) throw new OutOfMemoryError('full')
      return own.map(() => 0)
    }
    const ends = await Promise.allSettled(groupsOf(2).map((group) => shareBlocks(group, ['a', 'b'], how([], { work }))))
    for (const end of ends) expect((end as PromiseRejectedResult).reason).toEqual(new OutOfMemoryError('full'))
  })

  it('has stand-ins for the results of processes that exist in a plan only', async () => {
    const group = { ...groupsOf(1)[0], rank: 1, size: 2, planned: true } as ProcessGroup
    group.gather = async (value) => [value, value]
    expect(await shareBlocks(group, ['aa', 'b', 'c'], how([]))).toEqual([-1, 1, 1])
  })
})
