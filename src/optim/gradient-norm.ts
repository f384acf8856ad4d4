// The global norm of the gradients, and the factor that scales and clips them, computed before a step changes anything.
import { ShapeError } from '../core/index.ts'
import { gradNorm, stack, type Tensor } from '../tensor/index.ts'
import type { StepOptions } from './optimizer.ts'

/** Global norm of all tensors, float32 []. Fused on the CPU. */
export const normOf = (gradients: readonly Tensor[]): Tensor => {
  if (gradients.every(({ device }) => device === 'cpu')) return gradNorm(gradients)
  return stack(gradients.map((gradient) => gradient.norm(2, undefined, { dtype: 'float32' }))).norm()
}

/** The norm after scaling, and the factor of every gradient, NaN where one is not finite. Synchronises with the device once. */
export const measureGradients = (
  gradients: readonly Tensor[],
  options: StepOptions,
): { gradientNorm: number; factor: number } => {
  const { gradientScale = 1, maxGradientNorm, gradientNorm: known } = options
  let [norm, scale] = [known, gradientScale]
  if (typeof scale !== 'number') {
    if (scale.size !== 1)
      throw new ShapeError(`Expected a scalar for \`gradientScale\`, got shape [${scale.shape.join(', ')}].`)
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
