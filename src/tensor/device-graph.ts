// Graphs of a device: operators that are recorded once and then run again in one call, as CUDA graphs. Independent of models.
import { withTypedErrors } from './error-messages.ts'
import { native } from './native.ts'
import { freeTensors, keepUntilFreed, scope } from './scope.ts'
import type { Tensor } from './tensor.ts'

/** Whether libtorch has graphs of such a device: of CUDA's from 2.13 on, of no CPU and of no GPU of a Mac. */
export const hasDeviceGraphs = (device: string): boolean => native.hasGraphs?.(device) ?? false

/**
 * Operators that run again on the memory of their capture. What decides shapes must stay the same, and what changes must be in
 * tensors that were there before, into which the caller copies. None of that memory may be freed as long as the graph is used.
 */
export class DeviceGraph {
  readonly #graph: object
  #output: Tensor | undefined

  private constructor(graph: object, output: Tensor) {
    this.#graph = graph
    this.#output = output
  }

  /**
   * Records what `body` computes on the accelerator; `replay` gives its result values. Run the same operators once before, so
   * that libraries are loaded and tables exist.
   * @throws NativeError for what no graph can hold: a wait for the device, a copy from memory that is not pinned, numbers of a
   * generator; OutOfMemoryError
   */
  static capture(body: () => Tensor): DeviceGraph {
    const graph = withTypedErrors('DeviceGraph.capture', () => native.beginGraph?.()) as object
    let output: Tensor | undefined
    try {
      output = scope(() => {
        const result = body()
        keepUntilFreed([result])
        return result
      })
      withTypedErrors('DeviceGraph.capture', () => native.endGraph?.(graph))
      return new DeviceGraph(graph, output)
    } catch (error) {
      if (output === undefined) endQuietly(graph)
      else freeTensors([output])
      native.freeGraph?.(graph)
      throw error
    }
  }

  /** Runs the operators. @returns the tensor of `body`, which the next replay changes */
  replay(): Tensor {
    const output = this.#output as Tensor
    withTypedErrors('DeviceGraph.replay', () => native.replayGraph?.(this.#graph))
    return output
  }

  /** Frees the graph with its memory. */
  free(): void {
    if (this.#output === undefined) return
    freeTensors([this.#output])
    this.#output = undefined
    native.freeGraph?.(this.#graph)
  }
}

/** Ends a capture whose error matters more than what ending it says. */
const endQuietly = (graph: object): void => {
  try {
    native.endGraph?.(graph)
  } catch {
    // The capture is broken already.
  }
}
