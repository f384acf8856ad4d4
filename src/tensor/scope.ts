// Frees tensors: the innermost open scope does, or outside any scope the garbage collector.
import { ShapeError } from '../core/index.ts'
import { native } from './native.ts'
import type { Tensor } from './tensor.ts'

interface Owned {
  tensors: Tensor[]
}

const openScopes: Owned[] = []

/** Registers a new tensor with the innermost scope, or with the garbage collector outside any scope. */
export const registerTensor = (tensor: Tensor): void => {
  const top = openScopes[openScopes.length - 1]
  if (top !== undefined) top.tensors.push(tensor)
  else tensor.guard = native.guard(tensor.handle)
}

const collectTensors = (
  value: unknown,
  found: Set<Tensor>,
  isTensor: (value: object) => value is Tensor,
  depth = 0,
): void => {
  if (typeof value !== 'object' || value === null || depth > 8) return
  if (isTensor(value)) found.add(value)
  else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
    for (const part of Object.values(value)) collectTensors(part, found, isTensor, depth + 1)
  else if (value instanceof Map) for (const part of value.values()) collectTensors(part, found, isTensor, depth + 1)
}

const isTensor = (value: object): value is Tensor => 'handle' in value && 'guard' in value

/** Frees many tensors in one call; those already freed are skipped. @throws ShapeError for anything but tensors */
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
  if (handles.length > 0) native.freeMany(new Float64Array(handles))
}

/**
 * Runs `body` and frees every tensor that it created, except those that it returns (in arrays, plain objects and maps) and
 * those passed to `keep()`. Scopes nest: a tensor that an inner scope returns belongs to the outer one.
 * @throws ShapeError when `body` returns a promise, since a scope is synchronous
 */
export const scope = <Result>(body: () => Result): Result => {
  const owned: Owned = { tensors: [] }
  const depth = openScopes.push(owned)
  let result: Result
  try {
    result = body()
  } catch (error) {
    openScopes.length = depth - 1
    freeTensors(owned.tensors.filter(({ kept }) => !kept))
    throw error
  }
  openScopes.length = depth - 1
  if (result instanceof Promise) {
    freeTensors(owned.tensors)
    result.catch(() => undefined)
    throw new ShapeError('Expected a synchronous function for `scope`, got a promise. Await outside the scope.')
  }
  const returned = new Set<Tensor>()
  collectTensors(result, returned, isTensor)
  const outer = openScopes[openScopes.length - 1]
  const unused: Tensor[] = []
  for (const tensor of owned.tensors) {
    if (tensor.handle === 0 || tensor.kept) continue
    if (!returned.has(tensor)) unused.push(tensor)
    else if (outer !== undefined) outer.tensors.push(tensor)
    else tensor.guard ??= native.guard(tensor.handle)
  }
  freeTensors(unused)
  return result
}

/** Takes tensors out of every open scope: they live until `free()`, or until they are garbage-collected. */
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
 * Takes tensors out of every open scope without a finalizer, so only `freeTensors` frees them. For large tensors that are
 * replaced at every step: the garbage collector knows of a finalizer's bytes and would run each time.
 */
export const keepUntilFreed = (tensors: readonly Tensor[]): void => {
  for (const tensor of tensors) {
    tensor.use()
    tensor.kept = true
  }
}

/** Number of tensors that are not freed, of this thread or of the whole process. */
export const liveTensors = (options: { allThreads?: boolean } = {}): number =>
  native.liveTensors(options.allThreads ?? false)
