// Refuses weights that are NaN or infinite, which would make every output NaN.
import { CheckpointError } from '../core/index.ts'
import type { BlockMatrix } from '../nn/index.ts'
import { noGrad, scope, type Tensor } from '../tensor/index.ts'

const allFinite = (tensor: Tensor): boolean =>
  noGrad(() =>
    scope(() => {
      const values = tensor.detach()
      // A sum reads the values once and copies nothing; if it overflows, each value is checked. float16 would often overflow.
      const sum = values.dtype === 'float16' ? values.sum(undefined, { dtype: 'float32' }) : values.sum()
      if (Number.isFinite(sum.item())) return true
      return Boolean(values.isfinite().all().item())
    }),
  )

const listed = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ')

/**
 * Checks the floating point tensors of a model or an adapter.
 * @param where file or folder of the tensors, for the error
 * @throws CheckpointError that names the tensors with NaN or infinity
 */
export const expectFinite = (tensors: Iterable<readonly [string, Tensor]>, where: string): void => {
  const faulty: string[] = []
  for (const [path, tensor] of tensors) if (/float/.test(tensor.dtype) && !allFinite(tensor)) faulty.push(path)
  refuse(faulty, where)
}

/** As `expectFinite`, for matrices of blocks. @throws CheckpointError that names those with NaN or infinity */
export const expectFiniteBlocks = (matrices: Iterable<readonly [string, BlockMatrix]>, where: string): void =>
  refuse(
    [...matrices].flatMap(([path, matrix]) => (matrix.isFinite ? [] : [path])),
    where,
  )

const refuse = (faulty: readonly string[], where: string): void => {
  if (faulty.length > 0)
    throw new CheckpointError(
      `${where}: Expected finite weights, got NaN or infinity in ${listed(faulty)}. The training diverged or the file is damaged: use an earlier checkpoint, or download the files again.`,
    )
}
