// An adapter as part of the base's own matrices. Independent of methods.
import { ConfigError } from '../core/index.ts'
import { Linear } from '../nn/index.ts'
import { keep, noGrad, type Tensor } from '../tensor/index.ts'
import type { BankEntry } from './bank.ts'
import { TABLE_PATH, TIED_PATH, tiedLayer } from './tied-head.ts'

/**
 * The base's matrices with the adapter's changes in them, by path.
 * @throws ConfigError where a method or base does not allow it
 */
export const mergedMatrices = ({ attachment, definition, model }: BankEntry): Map<string, Tensor> => {
  const matrices = new Map<string, Tensor>()
  for (const { path, host, adapter } of attachment.placements) {
    if (host instanceof Linear && host.quantization !== undefined)
      throw new ConfigError(
        `\`merge\` needs a base that is not quantised, got one in ${host.quantization}. Load the base again as it is and put the adapter on it.`,
      )
    const merged = noGrad(() => adapter.merged(host))
    if (merged === undefined)
      throw new ConfigError(
        `Expected an adapter that can be merged, got ${definition.type}: no matrix of the base has its effect. Keep the adapter beside the base, as Tunesmith opens both.`,
      )
    for (const [field, tensor] of Object.entries(merged)) matrices.set(`${path}.${field}`, keep(tensor))
  }
  // A tied output layer that has no adapter keeps the table that it had.
  const tied = tiedLayer(model)
  if (tied !== undefined && matrices.has(TABLE_PATH) && !attachment.placements.some(({ host }) => host === tied))
    matrices.set(TIED_PATH, tied.weight)
  return matrices
}
