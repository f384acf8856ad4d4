// What an adapter changes, as products of two matrices by module of transformers. Independent of files.
import { adaptersOf, joinRows, namedLinears } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { noGrad, type Tensor, zeros } from '../../tensor/index.ts'

/** The change `scale · B A` of one matrix. */
export interface LowRankChange {
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
export const lowRankChanges = (model: Model): LowRankChange[] => {
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
export const withBareBase = async <Result>(model: Model, body: () => Promise<Result>): Promise<Result> => {
  const bank = adaptersOf(model)
  const { active } = bank
  bank.activate([])
  try {
    return await body()
  } finally {
    bank.activate(active, { merged: active })
  }
}
