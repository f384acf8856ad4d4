// The error for a weight that an export cannot hold.
import { CheckpointError } from '../core/index.ts'
import { type FilePart, noGrad, scope } from '../tensor/index.ts'

/** A part of a file with its name in messages. */
export interface NamedPart extends FilePart {
  name: string
}

/** Why the part cannot be written: NaN or infinity in its tensor, or an element that is too large for its dtype. */
export const notFinite = ({ tensor, as, name }: NamedPart): CheckpointError => {
  const [finite, numbers] = noGrad(() =>
    scope(() => [tensor.isfinite(), tensor.isnan().logicalNot()].map((mask) => mask.all().item())),
  )
  const what = `${numbers ? 'infinity' : 'NaN'} in \`${name}\``
  return new CheckpointError(
    finite
      ? `Expected finite weights to export, got ${what} as ${as}. The weight is too large for this dtype: export to another one.`
      : `Expected finite weights to export, got ${what}. The training diverged or the file is damaged: use an earlier checkpoint.`,
  )
}
