// A map that makes its values when they are asked for.
import { expect, it } from 'vitest'
import { LazyMap } from './collections.ts'

it('makes a value at each access, and none before', () => {
  const made: string[] = []
  const map = new LazyMap(['a', 'b'], (key) => {
    made.push(key)
    return key.toUpperCase()
  })
  expect([map.size, map.has('a'), map.has('c'), [...map.keys()]]).toEqual([2, true, false, ['a', 'b']])
  expect(made).toEqual([])
  expect([map.get('a'), map.get('a'), map.get('c')]).toEqual(['A', 'A', undefined])
  expect(made).toEqual(['a', 'a'])
  expect([...map]).toEqual([
    ['a', 'A'],
    ['b', 'B'],
  ])
  expect([...map.values()]).toEqual(['A', 'B'])
  const seen: string[] = []
  map.forEach((value, key) => {
    seen.push(key + value)
  })
  expect(seen).toEqual(['aA', 'bB'])
})
