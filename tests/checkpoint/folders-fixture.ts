// Small models as folders on disk, and ways to tamper with them.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSafetensors, saveModel, saveSafetensors } from '../../src/checkpoint/index.ts'
import {
  buildModel,
  type HeadOptions,
  type HeadType,
  type Model,
  type ModelDefinition,
  type ModelType,
  models,
} from '../../src/models/index.ts'
import { Generator, type Tensor, tensor } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'

export interface SmallOptions {
  config?: Record<string, unknown>
  headOptions?: Partial<HeadOptions>
  seed?: number
}

/** A model of the architecture's test preset, initialised from a seed. */
export const smallModel = (type: ModelType, head: HeadType, options: SmallOptions = {}): Model => {
  const definition = models[type] as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, options.config ?? {})
  const model = buildModel(definition, config, head, options.headOptions)
  return model
    .initialize({ std: 0.2, generator: new Generator(options.seed ?? 1) })
    .to({ device: testDevice })
    .eval()
}

export const smallFolder = async (folder: string, ...what: Parameters<typeof smallModel>): Promise<Model> => {
  const model = smallModel(...what)
  await saveModel(model, folder)
  return model
}

/** Rewrites the weights of a folder; `change` works on tensors by the names in the file. */
export const changeWeights = async (folder: string, change: (tensors: Map<string, Tensor>) => void): Promise<void> => {
  const path = join(folder, 'model.safetensors')
  const file = await openSafetensors(path)
  const tensors = new Map([...file.tensors.keys()].map((name) => [name, file.tensor(name).clone()]))
  change(tensors)
  rmSync(path)
  await saveSafetensors(path, tensors)
}

export const readConfig = (folder: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>

export const changeConfig = (folder: string, changes: Record<string, unknown>): void =>
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...readConfig(folder), ...changes }))

export const batch = () => ({
  inputIds: tensor(
    [
      [5, 6, 7, 8, 9, 1],
      [9, 8, 7, 0, 0, 0],
    ],
    { dtype: 'int64', device: testDevice },
  ),
  attentionMask: tensor(
    [
      [1, 1, 1, 1, 1, 1],
      [1, 1, 1, 0, 0, 0],
    ],
    { dtype: 'int64', device: testDevice },
  ),
})

export const sameState = (a: Map<string, Tensor>, b: Map<string, Tensor>): boolean =>
  [...a.keys()].join() === [...b.keys()].join() && [...a].every(([path, value]) => value.equal(b.get(path)!))
