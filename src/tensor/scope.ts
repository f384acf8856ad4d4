// Who frees a tensor: the innermost open scope, or, outside any scope, a finalizer.
import { ShapeError } from '../core/index.ts'
import { native } from './native.ts'
import type { Tensor } from './tensor.ts'

interface Owned {
  tensors: Tensor[]
}

const stack: Owned[] = []

/** Gives a new tensor to the innermost scope, or to the garbage collector's care. */
export const registerTensor = (tensor: Tensor): void => {
  const top = stack[stack.length - 1]
  if (top !== undefined) top.tensors.push(tensor)
  else tensor.guard = native.guard(tensor.handle)
}

const collect = (value: unknown, found: Set<Tensor>, isTensor: (value: object) => value is Tensor, depth = 0): void => {
  if (typeof value !== 'object' || value === null || depth > 8) return
  if (isTensor(value)) found.add(value)
  else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
    for (const part of Object.values(value)) collect(part, found, isTensor, depth + 1)
  else if (value instanceof Map) for (const part of value.values()) collect(part, found, isTensor, depth + 1)
}

const isTensor = (value: object): value is Tensor => 'handle' in value && 'guard' in value

/** Frees a batch of tensors in one call; freed ones are passed over. @throws ShapeError for anything but tensors */
export const freeTensors = (tensors: Iterable<Tensor>): void => {
  const handles: number[] = []
  for (const tensor of tensors) {
    if (typeof tensor !== 'object' || tensor === null || !isTensor(tensor))
      throw new ShapeError(`Expected tensors for \`freeTensors\`, got ${typeof tensor}. Pass a list of tensors.`)
    if (tensor.handle === 0) continue
    handles.push(tensor.handle)
    tensor.handle = 0
    tensor.guard = undefined
  }
  if (handles.length > 0) native.freeMany(Float64Array.from(handles))
}

/**
 * Runs `body` and frees every tensor made inside, except those it returns (found in arrays, plain objects and maps) and
 * those lifted out by `keep()`. Nests; what an inner scope returns belongs to the outer one.
 * @throws ShapeError when `body` returns a promise: a scope is synchronous.
 */
export const scope = <Result>(body: () => Result): Result => {
  const owned: Owned = { tensors: [] }
  const depth = stack.push(owned)
  let result: Result
  try {
    result = body()
  } catch (error) {
    stack.length = depth - 1
    freeTensors(owned.tensors)
    throw error
  }
  stack.length = depth - 1
  if (result instanceof Promise) {
    freeTensors(owned.tensors)
    result.catch(() => undefined)
    throw new ShapeError(
      'Expected a synchronous function for `scope`, got a promise. Await outside, and scope the parts.',
    )
  }
  const returned = new Set<Tensor>()
  collect(result, returned, isTensor)
  const mine = returned.size > 0 ? new Set(owned.tensors) : undefined
  const dying = owned.tensors.filter((tensor) => !tensor.kept && !returned.has(tensor))
  const outer = stack[stack.length - 1]
  for (const tensor of returned) {
    if (tensor.handle === 0 || tensor.kept || !mine?.has(tensor)) continue
    if (outer !== undefined) outer.tensors.push(tensor)
    else tensor.guard = native.guard(tensor.handle)
  }
  freeTensors(dying)
  return result
}

/** Lifts tensors out of every open scope: they live until `free()` or until the collector finds them unused. */
export const keep = <Kept extends Tensor | readonly Tensor[]>(tensors: Kept): Kept => {
  for (const tensor of Array.isArray(tensors) ? (tensors as readonly Tensor[]) : [tensors as Tensor]) {
    const handle = tensor.use()
    if (tensor.kept) continue
    tensor.kept = true
    tensor.guard ??= native.guard(handle)
  }
  return tensors
}

/**
 * Lifts tensors out of every open scope, and leaves them to `freeTensors` alone. For large ones that come and go at every step: the
 * collector, told of their bytes, would run each time.
 */
export const keepUntilFreed = (tensors: readonly Tensor[]): void => {
  for (const tensor of tensors) {
    tensor.use()
    tensor.kept = true
  }
}

/** Number of tensors alive, of this thread or of the whole process. */
export const liveTensors = (options: { allThreads?: boolean } = {}): number =>
  native.liveTensors(options.allThreads ?? false)
