// The global norm of the gradients, and the factor that scales and clips them, computed before a step changes anything.
import { ShapeError } from '../core/index.ts'
import { gradNorm, stack, type Tensor } from '../tensor/index.ts'
import type { StepOptions } from './optimizer.ts'

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
    if (norm === undefined) [norm, scale] = stack([gradNorm(gradients), single]).toFloat32Array()
    else scale = single.item()
  }
  norm ??= gradNorm(gradients).item()
  const scaled = norm * Math.abs(scale)
  if (!Number.isFinite(scaled) || !Number.isFinite(scale)) return { gradientNorm: scaled, factor: Number.NaN }
  // As torch's clip_grad_norm_: the factor never exceeds 1.
  const clip = maxGradientNorm === undefined ? 1 : Math.min(1, maxGradientNorm / (scaled + 1e-6))
  return { gradientNorm: scaled, factor: scale * clip }
}
