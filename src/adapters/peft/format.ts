// How a method's values lie in PEFT's two files. Knows no method.
import { CheckpointError, show } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { AttachContext, Attachment } from '../adapter.ts'

/** Of adapter_config.json and adapter_model.safetensors, with keys as in the base's own files. */
export class PeftFile {
  readonly path: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly #tensors: ReadonlyMap<string, () => Tensor>
  readonly #taken = new Set<string>()
  readonly #missing: string[] = []
  readonly #mismatched: string[] = []

  constructor(path: string, fields: Record<string, unknown>, tensors: ReadonlyMap<string, () => Tensor>) {
    this.path = path
    this.fields = fields
    this.#tensors = tensors
  }

  get keys(): string[] {
    return [...this.#tensors.keys()]
  }

  has(key: string): boolean {
    return this.#tensors.has(key)
  }

  shape(key: string): readonly number[] | undefined {
    return this.#tensors.get(key)?.().shape
  }

  /** A tensor that has to be there; faults are gathered for `settle`. */
  take(key: string, shape: readonly (number | undefined)[]): Tensor | undefined {
    const read = this.#tensors.get(key)
    if (read === undefined) {
      this.#missing.push(key)
      return undefined
    }
    this.#taken.add(key)
    const tensor = read()
    const fits =
      tensor.ndim === shape.length && shape.every((size, i) => size === undefined || size === tensor.shape[i])
    if (fits) return tensor
    this.#mismatched.push(
      `${key}: expected [${shape.map((size) => size ?? 'any').join(', ')}], got [${tensor.shape.join(', ')}]`,
    )
    return undefined
  }

  /** Tensors that nobody has taken, by key. */
  rest(): Map<string, () => Tensor> {
    return new Map([...this.#tensors].filter(([key]) => !this.#taken.has(key)))
  }

  /** Says that keys have to be there; those that are not are faults for `settle`. */
  expect(keys: readonly string[]): void {
    this.#missing.push(...keys.filter((key) => !this.#tensors.has(key) && !this.#missing.includes(key)))
  }

  /** Takes a tensor that was read elsewhere, if it has this shape. */
  accept(key: string, tensor: Tensor, shape: readonly number[]): void {
    this.#taken.add(key)
    if (tensor.shape.join() !== shape.join())
      this.#mismatched.push(`${key}: expected [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`)
  }

  /** @throws CheckpointError with all that was missing, left over or of another shape */
  settle(): void {
    const unexpected = [...this.rest().keys()]
    const report = { missing: this.#missing, unexpected, mismatched: this.#mismatched }
    const faults = Object.entries(report).filter(([, list]) => list.length > 0)
    if (faults.length === 0) return
    const listed = faults.map(([name, list]) => {
      const words = { missing: 'missing', unexpected: 'unexpected', mismatched: 'of another shape' }[name]
      return `${list.length} ${words}: ${list.slice(0, 20).join(', ')}${list.length > 20 ? ', …' : ''}`
    })
    throw new CheckpointError(
      `${this.path}: Expected an adapter whose tensors fit the base and its adapter_config.json, got ${listed.join('; ')}. Check that it was made for this base.`,
      report,
    )
  }

  /** @throws CheckpointError for fields that say something and that nobody reads */
  refuseOthers(known: ReadonlySet<string>): void {
    const saysNothing = (value: unknown) =>
      value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0)
    const others = Object.entries(this.fields).filter(([name, value]) => !known.has(name) && !saysNothing(value))
    if (others.length > 0)
      throw new CheckpointError(
        `${this.path}: Expected fields of adapter_config.json that are known here, got ${others.map(([name, value]) => `${name} = ${show(value)}`).join(', ')}. What they do is not supported.`,
      )
  }
}

/** What a file asks for. */
export interface FoundAdapter<Config> {
  config: Config
  plan(context: AttachContext): Attachment
  /** Copies the values into what `plan` gave. */
  fill(attachment: Attachment): void
}

/** What PEFT's two files hold of a method. */
export interface PeftContents {
  fields: Record<string, unknown>
  /** By key, without PEFT's own prefix. */
  tensors: Map<string, Tensor>
  /** Keys that PEFT writes without its prefix. */
  bare?: ReadonlySet<string>
}

export interface PeftFormat<Config> {
  /** `peft_type` */
  type: string
  /** What PEFT puts before the names of the base's own modules; `base_model.model.` unless given. */
  prefix?: string
  write(model: Model, config: Config, attachment: Attachment): PeftContents
  /** Names of the fields that `read` looks at. */
  fields: readonly string[]
  /** @throws CheckpointError for what cannot be had here */
  read(file: PeftFile, model: Model): FoundAdapter<Config>
}
