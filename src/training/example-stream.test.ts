import { expect, it } from 'vitest'
import { packedRows, rowAt, tokensInMemory } from '../data/index.ts'
import type { Objective } from '../objectives/index.ts'
import { ExampleStream, takeBatch } from './example-stream.ts'

interface Example {
  ids: number[]
  draw: number
  other: number[]
}

/** Shows everything that an example is made of. */
const objective = {
  example: (row, random, other) => ({
    ids: [...row.ids],
    draw: random.float(),
    other: [...other(random).ids],
  }),
  cut: ({ ids }) => ids[0] % 3,
  tokens: ({ ids }) => ids.length,
} as Objective<Example>

const source = tokensInMemory(
  Uint16Array.from({ length: 100 }, (_, i) => i),
  [40, 100],
)
const sampler = packedRows(source, { length: 8, seed: 5 })
const stream = (seed: number) => new ExampleStream(objective, sampler, seed)

it('gives the same example at a position, in any order and in any instance', () => {
  const forward = Array.from({ length: 30 }, (_, i) => stream(1).example(i))
  const one = stream(1)
  const backward = Array.from({ length: 30 }, (_, i) => one.example(29 - i)).reverse()
  expect(backward).toEqual(forward)
  expect(forward.map(({ example }) => example.ids)).toEqual(
    Array.from({ length: 30 }, (_, i) => [...rowAt(sampler, i).ids]),
  )
  expect(new Set(forward.map(({ example }) => example.draw)).size).toBe(30)
  expect(stream(1).perEpoch).toBe(sampler.rowsPerEpoch)
})

it('draws masks and further rows by the seed', () => {
  const [a, b] = [stream(1).example(3).example, stream(2).example(3).example]
  expect(a.ids).toEqual(b.ids)
  expect(a.draw).not.toBe(b.draw)
  const firsts = Array.from({ length: sampler.rowsPerEpoch }, (_, i) => sampler.row(0, i).ids[0])
  expect(firsts).toContain(a.other[0])
})

it('takes batches that follow each other without a gap', () => {
  const one = stream(1)
  const first = takeBatch(one, objective.tokens, 0, { sequences: 3 })
  expect(first).toMatchObject({ position: 0, next: 3, tokens: 24 })
  expect(first.cut).toBe(first.examples.reduce((sum, { ids }) => sum + (ids[0] % 3), 0))
  const second = takeBatch(one, objective.tokens, first.next, { tokens: 17 })
  expect(second).toMatchObject({ position: 3, next: 6, tokens: 24 })
  expect(takeBatch(one, objective.tokens, 6, { tokens: 100, sequences: 2 }).examples).toHaveLength(2)
  const all = [...first.examples, ...second.examples].map(({ ids }) => ids)
  expect(all).toEqual(Array.from({ length: 6 }, (_, i) => one.example(i).example.ids))
})
