// Compares quantised matrices with the model's own, one by one: a wrong scale or layout in one matrix is found where logits,
// which all matrices change, still look plausible.
import type { Model } from '../../models/index.ts'
import { noGrad, scope } from '../../tensor/index.ts'
import type { ProofRow } from '../export-target.ts'
import { type Comparison, rounded } from './differences.ts'

/** One row; `detail` names the matrix with the largest error. @param limit of the root mean square error of a matrix */
export const compareWeights = (
  model: Model,
  other: Model,
  { target, consumer }: Pick<Comparison, 'target' | 'consumer'>,
  limit: number,
): ProofRow => {
  const theirs = other.parameters()
  let [worst, at] = [0, '']
  for (const [path, tensor] of model.parameters()) {
    const stored = theirs.get(path)
    if (tensor.ndim < 2 || stored === undefined) continue
    const error = noGrad(() =>
      scope(() => {
        // A table of positions may be stored without the rows before the first position.
        const before = tensor.shape[0] - stored.shape[0]
        const own = before > 0 ? tensor.narrow(0, before, stored.shape[0]) : tensor
        const size = own.norm().item()
        return size === 0 ? 0 : stored.sub(own).norm().item() / size
      }),
    )
    if (!(error <= worst)) [worst, at] = [error, path]
  }
  return {
    target,
    consumer,
    check: 'weights, largest error of a matrix',
    value: rounded(worst),
    limit,
    ok: worst <= limit,
    ...(at === '' ? {} : { detail: at }),
  }
}
