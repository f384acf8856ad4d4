// Gradients: modes, backward over many roots, functions with a backward of their own, and activation checkpointing.
import { ShapeError } from '../core/index.ts'
import type { Generator } from './generator.ts'
import { native } from './native.ts'
import { scope } from './scope.ts'
import { Tensor } from './tensor.ts'
import { attempt } from './wording.ts'

const withGradMode = <Result>(enabled: boolean, body: () => Result): Result => {
  const before = native.setGradMode(enabled)
  try {
    const result = body()
    if (result instanceof Promise)
      throw new ShapeError(
        'Expected a synchronous function for a gradient mode, got a promise: the mode would not follow it.',
      )
    return result
  } finally {
    native.setGradMode(before)
  }
}

/** Runs `body` without recording for backward. The mode belongs to the thread, and ends with `body`. */
export const noGrad = <Result>(body: () => Result): Result => withGradMode(false, body)

/** Runs `body` recording for backward, inside a `noGrad`. */
export const enableGrad = <Result>(body: () => Result): Result => withGradMode(true, body)

export const gradEnabled = (): boolean => native.gradMode()

/** Like `noGrad` and faster: tensors made inside can never take part in autograd. */
export const inferenceMode = <Result>(body: () => Result): Result => {
  native.enterInference()
  try {
    const result = body()
    if (result instanceof Promise)
      throw new ShapeError(
        'Expected a synchronous function for `inferenceMode`, got a promise: the mode would not follow it.',
      )
    return result
  } finally {
    native.leaveInference()
  }
}

const handlesOf = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.use())

/** Adds the gradients of several roots to the leaves behind them, in one pass. */
export const backward = (
  roots: readonly Tensor[],
  options: { gradients?: readonly (Tensor | undefined)[]; retainGraph?: boolean } = {},
): void => {
  const gradients = options.gradients?.map((gradient) => gradient?.use() ?? null)
  attempt('backward', () => native.backward(handlesOf(roots), gradients, options.retainGraph ?? false))
}

/** The gradients of `roots` with respect to `inputs`, without touching any leaf; undefined where a root does not depend on one. */
export const gradients = (
  roots: readonly Tensor[],
  inputs: readonly Tensor[],
  options: { gradients?: readonly (Tensor | undefined)[]; retainGraph?: boolean; createGraph?: boolean } = {},
): (Tensor | undefined)[] => {
  const given = options.gradients?.map((gradient) => gradient?.use() ?? null)
  const createGraph = options.createGraph ?? false
  const found = attempt('gradients', () =>
    native.gradientsOf(
      handlesOf(roots),
      handlesOf(inputs),
      given,
      options.retainGraph ?? createGraph,
      createGraph,
      true,
    ),
  )
  return found.map((handle) => (handle === 0 ? undefined : Tensor.fromHandle(handle)))
}

/** Drops the gradients of many tensors. */
export const clearGrads = (tensors: readonly Tensor[]): void => native.clearGrads(handlesOf(tensors))

/**
 * Gives `outputs` (computed without recording) a history: when backward reaches them, `derive` gets their gradients (undefined
 * where none arrived) and returns one gradient, or undefined, for each of `inputs`. Tensors of `save` are handed to `derive`
 * again, without history; the graph holds them, and lets go of them with everything else it saved.
 */
export const withBackward = (
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  derive: (gradients: (Tensor | undefined)[], saved: Tensor[]) => (Tensor | undefined)[],
  options: { save?: readonly Tensor[] } = {},
): Tensor[] => {
  const callback = (handles: number[], saved: number[]): number[] => {
    const given: number[] = []
    scope(() => {
      const received = handles.map((handle) => (handle === 0 ? undefined : Tensor.fromHandle(handle)))
      const found = derive(received, saved.map(Tensor.fromHandle))
      for (const gradient of found) given.push(gradient === undefined ? 0 : native.share(gradient.use()))
    })
    return given
  }
  const made = attempt('withBackward', () =>
    native.attachBackward(handlesOf(outputs), handlesOf(inputs), callback, handlesOf(options.save ?? [])),
  )
  return made.map((handle) => Tensor.fromHandle(handle))
}

/**
 * Runs `segment` keeping only its inputs and outputs, and runs it again when backward needs what is inside. Draws from
 * `generators` are replayed, so dropout is the same both times. Inputs that the segment only closes over (weights) get
 * their gradients too, through `backward`; `gradients()` cannot see them. No second derivative.
 * @source arXiv:1604.06174
 */
export const checkpoint = <Outputs extends Tensor | readonly Tensor[]>(
  segment: (...inputs: Tensor[]) => Outputs,
  inputs: readonly Tensor[],
  options: { generators?: readonly Generator[] } = {},
): Outputs => {
  if (!gradEnabled()) return segment(...inputs)
  const generators = options.generators ?? []
  const before = generators.map((generator) => generator.state())
  const needs = inputs.map((input) => input.requiresGrad)
  const asList = (outputs: Outputs) => (outputs instanceof Tensor ? [outputs] : [...(outputs as readonly Tensor[])])
  /** Runs the segment with the draws of the first time, and leaves the generators as they are now. */
  const replay = (leaves: Tensor[]) => {
    const after = generators.map((generator) => generator.state())
    generators.forEach((generator, i) => {
      generator.setState(before[i])
    })
    try {
      return asList(enableGrad(() => segment(...leaves)))
    } finally {
      generators.forEach((generator, i) => {
        generator.setState(after[i])
      })
    }
  }
  const derive = (received: (Tensor | undefined)[], leaves: Tensor[]): (Tensor | undefined)[] => {
    leaves.forEach((leaf, i) => {
      if (needs[i]) leaf.requiresGrad = true
    })
    const wanted = replay(leaves)
      .map((output, i) => ({ output, gradient: received[i] }))
      .filter(({ output, gradient }) => gradient !== undefined && output.requiresGrad)
    backward(
      wanted.map(({ output }) => output),
      { gradients: wanted.map(({ gradient }) => gradient) },
    )
    return leaves.map((leaf) => leaf.grad)
  }
  // The scope frees what the segment made, and leaves alone an input that it hands through.
  return scope(() => {
    const first = noGrad(() => segment(...inputs))
    const attached = withBackward(asList(first), inputs, derive, { save: inputs })
    return (first instanceof Tensor ? attached[0] : attached) as Outputs
  })
}
