// Tensors of which each process writes its part into a file of its own, and which any number of processes reads as whole tensors.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { openSafetensors, type SafetensorsFile, saveSafetensors, type WrittenFile } from '../checkpoint/index.ts'
import { CheckpointError, exists, LazyMap, parseConfig } from '../core/index.ts'
import type { TensorPart } from '../optim/index.ts'
import { cat, type Tensor } from '../tensor/index.ts'

const metadataKey = 'parts'
const placesSchema = z.record(
  z.string(),
  z.strictObject({ from: z.int().nonnegative(), shape: z.array(z.int().nonnegative()) }),
)

/** Name of the file of one process, such as `optimizer-00001-of-00003.safetensors`. @param name that of the file of all tensors */
export const partName = (name: string, rank: number, count: number): string => {
  const number = (value: number) => String(value).padStart(5, '0')
  return name.replace(/(?=\.safetensors$)/, `-${number(rank + 1)}-of-${number(count)}`)
}

/** Writes the parts that a process has. */
export const saveParts = (path: string, parts: ReadonlyMap<string, TensorPart>): Promise<WrittenFile> => {
  const values = new Map([...parts].map(([key, part]) => [key, part.values]))
  const places = Object.fromEntries([...parts].map(([key, { from, shape }]) => [key, { from, shape }]))
  return saveSafetensors(path, values, { [metadataKey]: JSON.stringify(places) })
}

interface FoundPart {
  file: SafetensorsFile
  from: number
  size: number
  shape: readonly number[]
}

/** The tensors of a file of a checkpoint, or of the files of several processes, whole and each read when it is asked for. */
export const openParts = async (folder: string, name: string): Promise<ReadonlyMap<string, Tensor>> => {
  const whole = join(folder, name)
  if (await exists(whole)) {
    const { tensors, tensor } = await openSafetensors(whole)
    return new LazyMap(tensors.keys(), tensor)
  }
  const start = name.replace(/\.safetensors$/, '')
  const files = (await readdir(folder)).filter((file) => file.startsWith(`${start}-`)).sort()
  const count = Number(/-of-(\d+)\.safetensors$/.exec(files[0] ?? '')?.[1])
  const expected = Array.from({ length: count || 0 }, (_, rank) => partName(name, rank, count))
  const missing = expected.filter((file) => !files.includes(file))
  if (files.length === 0 || missing.length > 0)
    throw new CheckpointError(
      `${folder}: Expected ${missing.join(', ') || name}, found none. The checkpoint is damaged.`,
    )
  const found = new Map<string, FoundPart[]>()
  for (const file of expected) {
    const path = join(folder, file)
    const opened = await openSafetensors(path)
    const places = parseConfig(
      placesSchema,
      JSON.parse(opened.metadata[metadataKey] ?? '{}'),
      `${path}: ${metadataKey}`,
    )
    for (const [key, { shape: sizes }] of opened.tensors) {
      const place = places[key] ?? { from: 0, shape: sizes }
      const part = { file: opened, size: sizes.reduce((product, size) => product * size, 1), ...place }
      found.set(key, [...(found.get(key) ?? []), part])
    }
  }
  return new LazyMap(found.keys(), (key) => joined(folder, key, found.get(key) ?? []))
}

/** The whole tensor. @throws CheckpointError for elements that are in no file, or in several */
const joined = (folder: string, key: string, parts: readonly FoundPart[]): Tensor => {
  const ordered = [...parts].sort((a, b) => a.from - b.from)
  const { shape } = ordered[0]
  const size = shape.reduce((product, length) => product * length, 1)
  let end = 0
  for (const part of ordered) {
    if (part.from !== end) break
    end += part.size
  }
  if (end !== size)
    throw new CheckpointError(
      `${folder}: Expected ${size} elements for \`${key}\` in the files of all processes, found ${end} in a row. The checkpoint is damaged.`,
    )
  const values = ordered.map(({ file }) => file.tensor(key).view([-1]))
  return (values.length === 1 ? values[0] : cat(values, 0)).view([...shape])
}
