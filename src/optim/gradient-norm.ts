// The norm over all gradients, and the one factor that scales and clips them: what a step has to know before it touches
// anything.
import { ShapeError } from '../core/index.ts'
import { gradNorm, stack, type Tensor } from '../tensor/index.ts'
import type { StepOptions } from './optimizer.ts'

/** Norm over all tensors together, float32 []. The fused pass runs on the CPU; elsewhere it is composed of operators. */
export const normOf = (gradients: readonly Tensor[]): Tensor => {
  if (gradients.every(({ device }) => device === 'cpu')) return gradNorm(gradients)
  return stack(gradients.map((gradient) => gradient.norm(2, undefined, { dtype: 'float32' }))).norm()
}

/** The norm after scaling, and the factor for every gradient; NaN where something is not finite. Waits for the device once. */
export const measureGradients = (
  gradients: readonly Tensor[],
  options: StepOptions,
): { gradientNorm: number; factor: number } => {
  const { gradientScale = 1, maxGradientNorm, gradientNorm: known } = options
  let [norm, scale] = [known, gradientScale]
  if (typeof scale !== 'number') {
    if (scale.size !== 1)
      throw new ShapeError(`Expected one value for \`gradientScale\`, got shape [${scale.shape.join(', ')}].`)
    const single = scale.detach().to('float32').reshape([])
    if (norm === undefined) [norm, scale] = stack([normOf(gradients), single]).toFloat32Array()
    else scale = single.item()
  }
  norm ??= normOf(gradients).item()
  const scaled = norm * Math.abs(scale)
  if (!Number.isFinite(scaled) || !Number.isFinite(scale)) return { gradientNorm: scaled, factor: Number.NaN }
  // As torch's clip_grad_norm_: the factor never exceeds 1.
  const clip = maxGradientNorm === undefined ? 1 : Math.min(1, maxGradientNorm / (scaled + 1e-6))
  return { gradientNorm: scaled, factor: scale * clip }
}
