// Gradients: modes, backward of many roots, functions with their own backward, and activation checkpointing.
import { ShapeError } from '../core/index.ts'
import { withTypedErrors } from './error-messages.ts'
import type { Generator } from './generator.ts'
import { native } from './native.ts'
import { scope } from './scope.ts'
import { Tensor } from './tensor.ts'

const withGradMode = <Result>(enabled: boolean, body: () => Result): Result => {
  const before = native.setGradMode(enabled)
  try {
    const result = body()
    if (result instanceof Promise)
      throw new ShapeError(
        'Expected a synchronous function for a gradient mode, got a promise, which runs after the mode ends.',
      )
    return result
  } finally {
    native.setGradMode(before)
  }
}

/** Runs `body`, which must be synchronous, without recording operators for backward. The mode belongs to the thread. */
export const noGrad = <Result>(body: () => Result): Result => withGradMode(false, body)

/** `noGrad` and `scope` in one: nothing is recorded for backward, and every tensor is freed but those that `body` returns. */
export const noGradScope = <Result>(body: () => Result): Result => noGrad(() => scope(body))

/** Runs `body` with recording for backward, inside a `noGrad`. */
export const enableGrad = <Result>(body: () => Result): Result => withGradMode(true, body)

/** Whether operators are recorded for backward in this thread. */
export const gradEnabled = (): boolean => native.gradMode()

/** As `noGrad`, but faster: tensors created inside can never take part in autograd. */
export const inferenceMode = <Result>(body: () => Result): Result => {
  native.enterInference()
  try {
    const result = body()
    if (result instanceof Promise)
      throw new ShapeError(
        'Expected a synchronous function for `inferenceMode`, got a promise, which runs after the mode ends.',
      )
    return result
  } finally {
    native.leaveInference()
  }
}

const handlesOf = (tensors: readonly Tensor[]) => tensors.map((tensor) => tensor.use())

/** Adds the gradients of several roots to the leaves that they were computed from, in one backward. */
export const backward = (
  roots: readonly Tensor[],
  options: { gradients?: readonly (Tensor | undefined)[]; retainGraph?: boolean } = {},
): void => {
  const gradients = options.gradients?.map((gradient) => gradient?.use() ?? null)
  withTypedErrors('backward', () => native.backward(handlesOf(roots), gradients, options.retainGraph ?? false))
}

/** Gradients of `roots` with respect to `inputs`; undefined where no root depends on an input. The leaves' `grad` stays. */
export const gradients = (
  roots: readonly Tensor[],
  inputs: readonly Tensor[],
  options: { gradients?: readonly (Tensor | undefined)[]; retainGraph?: boolean; createGraph?: boolean } = {},
): (Tensor | undefined)[] => {
  const given = options.gradients?.map((gradient) => gradient?.use() ?? null)
  const createGraph = options.createGraph ?? false
  const found = withTypedErrors('gradients', () =>
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

/**
 * Calls `callback` with the position of a leaf each time that a backward pass has added to its gradient, during that pass.
 * @returns a function that ends this
 */
export const watchGradients = (leaves: readonly Tensor[], callback: (position: number) => void): (() => void) => {
  native.watchGradients(handlesOf(leaves), callback)
  return () => native.watchGradients(handlesOf(leaves), undefined)
}

/** Frees the gradients of many tensors. */
export const clearGrads = (tensors: readonly Tensor[]): void => native.clearGrads(handlesOf(tensors))

/**
 * Gives `outputs`, computed under `noGrad`, a backward of their own: `derive` gets their gradients (undefined where there is
 * none) and returns one gradient, or undefined, for each of `inputs`. It also gets the tensors of `save`, without history,
 * which the graph keeps until it is freed.
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
  const made = withTypedErrors('withBackward', () =>
    native.attachBackward(handlesOf(outputs), handlesOf(inputs), callback, handlesOf(options.save ?? [])),
  )
  return made.map((handle) => Tensor.fromHandle(handle))
}

/**
 * Activation checkpointing: runs `segment`, keeps only its inputs and outputs, and recomputes it in backward. The samples of
 * `generators` are repeated, so dropout is the same both times. Tensors that `segment` uses but that are not among `inputs`,
 * such as weights, get gradients from `backward`, not from `gradients`. There is no second derivative.
 * @param options.during runs each pass over the segment, in which what it needs must be in memory: the first one, and the one in
 * backward with its own backward
 * @source arXiv:1604.06174
 */
export const checkpoint = <Outputs extends Tensor | readonly Tensor[]>(
  segment: (...inputs: Tensor[]) => Outputs,
  inputs: readonly Tensor[],
  options: {
    generators?: readonly Generator[]
    during?: (<Result>(pass: 'forward' | 'backward', body: () => Result) => Result) | undefined
  } = {},
): Outputs => {
  const { during = (_, body) => body() } = options
  if (!gradEnabled()) return during('forward', () => segment(...inputs))
  const generators = options.generators ?? []
  const before = generators.map((generator) => generator.state())
  const needs = inputs.map((input) => input.requiresGrad)
  const asList = (outputs: Outputs) => (outputs instanceof Tensor ? [outputs] : [...(outputs as readonly Tensor[])])
  /** Runs the segment with the samples of the first time, and leaves the generators as they are now. */
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
    during('backward', () =>
      // The history of what was recomputed may hold what leaves the memory afterwards.
      scope(() => {
        const wanted = replay(leaves)
          .map((output, i) => ({ output, gradient: received[i] }))
          .filter(({ output, gradient }) => gradient !== undefined && output.requiresGrad)
        backward(
          wanted.map(({ output }) => output),
          { gradients: wanted.map(({ gradient }) => gradient) },
        )
      }),
    )
    return leaves.map((leaf) => leaf.grad)
  }
  // The scope frees what the segment created, but not an input that it returns unchanged.
  return scope(() => {
    const first = during('forward', () => noGrad(() => segment(...inputs)))
    const attached = withBackward(asList(first), inputs, derive, { save: inputs })
    return (first instanceof Tensor ? attached[0] : attached) as Outputs
  })
}
