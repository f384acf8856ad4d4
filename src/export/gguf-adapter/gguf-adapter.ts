// The target `gguf-adapter`: a LoRA as a file for `--lora` of llama.cpp, beside any GGUF file of its base.
//
// llama.cpp multiplies a change by alpha / rank, with one alpha for the file and the rank of each matrix. Scales of another
// kind (rsLoRA, another alpha of some layers) are written as the alpha with the same effect, or become part of B.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { adaptersOf, baseOfAdapter, isAdapterFolder, joinRows, namedLinears } from '../../adapters/index.ts'
import { type GgufName, inStoredOrder, openGguf } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { CausalLmHead, type Model } from '../../models/index.ts'
import { noGrad, scope, type Tensor, zeros } from '../../tensor/index.ts'
import type { ExportSource, ExportTarget, ProofContext, ProofRow } from '../export-target.ts'
import { architectureOf } from '../gguf/architectures.ts'
import { checkGguf, writeModelFile } from '../gguf/gguf.ts'
import { count, float, type GgufEntry, type GgufField, text, writeGgufFile } from '../gguf/gguf-file.ts'
import { entryOf, isTied, namesOf } from '../gguf/gguf-tensors.ts'
import { mixes, typeOf } from '../gguf/mixes.ts'
import { runSource } from '../proof/compare-models.ts'
import { measuredRow } from '../proof/differences.ts'
import { proveInLlamaCpp } from '../proof/llama-cpp.ts'

/** The change `scale · B A` of one matrix. */
interface LowRankChange {
  /** Key of the matrix in Hugging Face checkpoints. */
  key: string
  /** [R,inputs] */
  a: Tensor
  /** [outputs,R] */
  b: Tensor
  scale: number
}

const refuse = (what: string): never => {
  throw new ConfigError(
    `\`gguf-adapter\` needs an adapter that adds low-rank products to matrices, and ${what}. Export to gguf, which merges it.`,
  )
}

/**
 * The changes of the adapter that the model was merged with.
 * @throws ConfigError without one, and for what is more than low-rank products of linear layers
 */
const lowRankChanges = (model: Model): LowRankChange[] => {
  const bank = adaptersOf(model)
  const [name, ...others] = bank.active
  if (name === undefined) return refuse('the model has none')
  if (others.length > 0 || bank.stackOf(name).length > 1) return refuse('several are active, one on the other')
  const { attachment, copies, definition } = bank.get(name)
  const [copied] = copies.keys()
  if (copied !== undefined) refuse(`${definition.type} has its own ${copied}`)
  const changes = new Map(
    attachment.placements.flatMap(({ path, adapter }) => {
      const parts = adapter.eval().lowRank(1)
      // A matrix whose components were all dropped (AdaLoRA) has no change.
      if (parts?.length === 0) return []
      if (parts?.length !== 1) return refuse(`the ${definition.type} of ${path} is none`)
      return [[path, parts[0]] as const]
    }),
  )
  const found = namedLinears(model).flatMap((linear): LowRankChange[] => {
    const present = linear.parts.map(({ path }) => changes.get(path))
    const first = present.find((change) => change !== undefined)
    if (first === undefined) return []
    for (const { path } of linear.parts) changes.delete(path)
    const key = `${linear.theirs}.weight`
    if (linear.parts.length === 1) return [{ key, ...first }]
    // The parts of a fused matrix share A; one without a change gets zeros.
    const rows = linear.parts.map(({ layer }, i) => {
      const own = present[i]
      if (own !== undefined) return own.b.mul(own.scale / first.scale)
      return zeros([layer.shape[0], first.b.shape[1]], { dtype: first.b.dtype, device: first.b.device })
    })
    return [{ key, a: first.a, b: noGrad(() => joinRows(rows, linear)), scale: first.scale }]
  })
  const [left] = changes.keys()
  if (left !== undefined) refuse(`${left} is no linear layer of transformers`)
  return found
}

/** Runs with the base alone in the model; afterwards the adapter is part of its matrices again. */
const withBareBase = async <Result>(model: Model, body: () => Promise<Result>): Promise<Result> => {
  const bank = adaptersOf(model)
  const { active } = bank
  bank.activate([])
  try {
    return await body()
  } finally {
    bank.activate(active, { merged: active })
  }
}

/** Output types of llama.cpp's convert_lora_to_gguf. */
const variants = ['f32', 'f16', 'bf16', 'q8_0']

const fileName = ({ name }: ExportSource, variant: string): string => `${name}-LORA-${variant.toUpperCase()}.gguf`

/** A change with ggml's name of its matrix. */
interface NamedChange extends LowRankChange {
  name: string
  order?: GgufName['order']
}

/** Whether the base's output matrix is its token embedding, in which llama.cpp would change the embedding too. */
const isBaseTied = (model: Model): boolean => adaptersOf(model).using(null, () => isTied(model))

/** @throws ConfigError for a matrix that GGUF has no name for */
const namedChanges = ({ model }: ExportSource): NamedChange[] => {
  const names = new Map([...namesOf(model)].map(([name, entry]) => [entry.theirs, { name, ...entry }]))
  return lowRankChanges(model).map((change) => {
    const { name, order } = names.get(change.key) ?? {}
    if (name === undefined || (name === 'output.weight' && isBaseTied(model)))
      throw new ConfigError(
        `\`gguf-adapter\` needs changes of matrices that llama.cpp has alone, and ${change.key} is ${name === undefined ? 'none' : 'the token embedding too'}. Export to gguf, which merges the adapter.`,
      )
    return { ...change, name, ...(order === undefined ? {} : { order }) }
  })
}

const effectOf = ({ scale, a }: LowRankChange): number => scale * a.shape[0]

/** The alpha that fits most matrices. */
const alphaOf = (changes: readonly LowRankChange[]): number => {
  const counts = new Map<number, number>()
  for (const change of changes) counts.set(effectOf(change), (counts.get(effectOf(change)) ?? 0) + 1)
  const [[alpha]] = [...counts].sort(([, a], [, b]) => b - a)
  return alpha
}

const metadataOf = async (source: ExportSource, variant: string, alpha: number): Promise<Map<string, GgufField>> => {
  const { folder } = source
  const base = folder !== undefined && (await isAdapterFolder(folder)) ? await baseOfAdapter(folder) : undefined
  // Only a Hub id names the base for others, not a folder of this machine.
  const published = base !== undefined && /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(base)
  return new Map<string, GgufField>([
    ['general.architecture', text(architectureOf(source.model).name)],
    ['general.type', text('adapter')],
    ['general.name', text(source.name)],
    ...(published
      ? ([
          ['general.base_model.count', count(1)],
          ['general.base_model.0.name', text(base.split('/')[1])],
          ['general.base_model.0.repo_url', text(`https://huggingface.co/${base}`)],
        ] as [string, GgufField][])
      : []),
    ['general.file_type', count(mixes[variant].code)],
    ['general.quantization_version', count(2)],
    ['adapter.type', text('lora')],
    ['adapter.lora.alpha', float(alpha)],
  ])
}

const entriesOf = (changes: readonly NamedChange[], variant: string, alpha: number): GgufEntry[] => {
  const entry = (name: string, tensor: Tensor, order?: GgufName['order']) =>
    entryOf(name, [tensor], typeOf(mixes[variant], name, tensor.shape, { layers: 0, tied: false }), { order })
  return changes.flatMap(({ name, a, b, order, ...change }) => {
    const factor = effectOf({ ...change, a, b }) / alpha
    const scaled = factor === 1 ? b : noGrad(() => b.to('float32').mul(factor))
    return [entry(`${name}.lora_a`, a.detach()), entry(`${name}.lora_b`, scaled.detach(), order)]
  })
}

/** Largest error of the products in the file, relative to the changes. */
const compareChanges = async (
  path: string,
  changes: readonly NamedChange[],
  target: string,
  limit: number,
): Promise<ProofRow> => {
  const file = await openGguf(path)
  let [worst, at] = [0, '']
  try {
    const alpha = Number(file.metadata.get('adapter.lora.alpha'))
    for (const { name, key, a, b, scale, order } of changes) {
      const error = noGrad(() =>
        scope(() => {
          const [storedA, storedB] = ['a', 'b'].map((part) =>
            file.tensors.get(`${name}.lora_${part}`)!.read().to('float32'),
          )
          const stored = storedB.matmul(storedA).mul(alpha / storedB.shape[1])
          const own = b.to('float32').matmul(a.to('float32')).mul(scale)
          const ours = order === undefined ? own : inStoredOrder(own, order).reshape(own.shape)
          const size = ours.norm().item()
          return size === 0 ? 0 : stored.sub(ours).norm().item() / size
        }),
      )
      if (!(error <= worst)) [worst, at] = [error, key]
    }
  } finally {
    file.close()
  }
  return measuredRow({ target, consumer: 'tunesmith' }, 'changes, largest error of a matrix', worst, limit, at)
}

const prove = async (
  source: ExportSource,
  variant: string,
  folder: string,
  { texts, note }: ProofContext,
): Promise<ProofRow[]> => {
  const target = `gguf-adapter:${variant}`
  const path = join(folder, fileName(source, variant))
  const { limits } = mixes[variant]
  // A and B both have the error of their type.
  const rows = [await compareChanges(path, namedChanges(source), target, 3 * limits.weights)]
  const base = join(folder, '.base.gguf')
  try {
    const found = await proveInLlamaCpp(
      source,
      async () => {
        await withBareBase(source.model, () => writeModelFile(source, 'f32', base))
        return { model: base, lora: path }
      },
      texts,
      { target, reference: runSource(source), note },
      limits.llamaCpp,
    )
    return [...rows, ...found]
  } finally {
    await rm(base, { force: true })
  }
}

export const ggufAdapter: ExportTarget = {
  type: 'gguf-adapter',
  description: 'the LoRA alone, for `--lora` of llama.cpp beside a GGUF file of its base',
  variants,
  defaultVariant: 'f32',
  pipelineLibrary: 'gguf',
  folder: 'gguf-adapter',
  sharesFolder: true,
  check: (source) => {
    checkGguf(source, 'gguf-adapter')
    if (!(source.model.head instanceof CausalLmHead))
      throw new ConfigError(
        `\`gguf-adapter\` needs a causal language model, and ${source.given} has the head ${source.model.headType}. Export to gguf, which merges the adapter.`,
      )
    namedChanges(source)
  },
  write: async (source, variant, folder, { onProgress, onHash, signal }) => {
    onProgress?.(`Writing ${fileName(source, variant)}`)
    const changes = namedChanges(source)
    const alpha = alphaOf(changes)
    const path = join(folder, fileName(source, variant))
    const metadata = await metadataOf(source, variant, alpha)
    const hash = await writeGgufFile(path, metadata, entriesOf(changes, variant, alpha), signal)
    onHash?.(path, hash)
  },
  prove,
}
