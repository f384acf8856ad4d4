// Files of several processes are read as whole tensors; what is missing from them is named.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { saveSafetensors } from '../checkpoint/index.ts'
import { CheckpointError } from '../core/index.ts'
import { tensor } from '../tensor/index.ts'
import { openParts, partName, saveParts } from './tensor-parts.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-parts-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const name = 'optimizer.safetensors'
const part = (values: number[], from: number) => ({ values: tensor(values), from, shape: [2, 3] })
const write = (rank: number, parts: Parameters<typeof saveParts>[1]) =>
  saveParts(join(folder, partName(name, rank, 3)), parts)

it('joins the parts of processes in their order, whichever have one', async () => {
  await write(0, new Map([['b', part([1, 2], 0)]]))
  await write(1, new Map([['a', { values: tensor([7]), from: 0, shape: [] }]]))
  await write(2, new Map([['b', part([3, 4, 5, 6], 2)]]))
  expect(partName(name, 1, 3)).toBe('optimizer-00002-of-00003.safetensors')
  const read = await openParts(folder, name)
  expect([...read.keys()].sort()).toEqual(['a', 'b'])
  expect(read.get('b')?.shape).toEqual([2, 3])
  expect([...(read.get('b')?.toFloat32Array() ?? [])]).toEqual([1, 2, 3, 4, 5, 6])
  expect(read.get('a')?.shape).toEqual([])
})

it('reads the file of one process too', async () => {
  await saveSafetensors(join(folder, name), new Map([['a', tensor([1, 2])]]))
  const read = await openParts(folder, name)
  expect([...read].map(([key, value]) => [key, [...value.toFloat32Array()]])).toEqual([['a', [1, 2]]])
})

it('names a file that is missing', async () => {
  await expect(openParts(folder, name)).rejects.toThrow(/Expected optimizer.safetensors, found none/)
  await write(0, new Map([['b', part([1, 2], 0)]]))
  await write(2, new Map([['b', part([5, 6], 4)]]))
  await expect(openParts(folder, name)).rejects.toThrow(/Expected optimizer-00002-of-00003.safetensors, found none/)
})

it('names a tensor with elements that no file has, or that several have', async () => {
  await write(0, new Map([['b', part([1, 2], 0)]]))
  await write(1, new Map())
  await write(2, new Map([['b', part([5, 6], 4)]]))
  const gap = await openParts(folder, name)
  expect(() => gap.get('b')).toThrow(CheckpointError)
  expect(() => gap.get('b')).toThrow(/Expected 6 elements for `b` in the files of all processes, found 2 in a row/)
})
