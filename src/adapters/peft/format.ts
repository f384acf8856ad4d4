// PEFT's two files, and how a method reads and writes them. Independent of methods.
import { CheckpointError, show } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { AttachContext, Attachment } from '../adapter.ts'

/**
 * adapter_config.json and adapter_model.safetensors, with keys as in the base's own files; collects what does not fit.
 */
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

  /** Keys of all tensors. */
  get keys(): string[] {
    return [...this.#tensors.keys()]
  }

  /** Whether there is a tensor of this key. */
  has(key: string): boolean {
    return this.#tensors.has(key)
  }

  /** Shape of a tensor. */
  shape(key: string): readonly number[] | undefined {
    return this.#tensors.get(key)?.().shape
  }

  /** A required tensor; undefined, and a fault for `throwFaults`, if it is missing or has another shape. */
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

  /** Tensors that were not taken, by key. */
  rest(): Map<string, () => Tensor> {
    return new Map([...this.#tensors].filter(([key]) => !this.#taken.has(key)))
  }

  /** Requires keys; missing ones are faults for `throwFaults`. */
  expect(keys: readonly string[]): void {
    this.#missing.push(...keys.filter((key) => !this.#tensors.has(key) && !this.#missing.includes(key)))
  }

  /** Marks a tensor as taken; another shape is a fault for `throwFaults`. */
  accept(key: string, tensor: Tensor, shape: readonly number[]): void {
    this.#taken.add(key)
    if (tensor.shape.join() !== shape.join())
      this.#mismatched.push(`${key}: expected [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`)
  }

  /** @throws CheckpointError with all missing, unexpected and mismatched tensors */
  throwFaults(): void {
    const unexpected = [...this.rest().keys()]
    const report = { missing: this.#missing, unexpected, mismatched: this.#mismatched }
    const faults = Object.entries(report).filter(([, list]) => list.length > 0)
    if (faults.length === 0) return
    const listed = faults.map(([name, list]) => {
      const words = { missing: 'missing', unexpected: 'unexpected', mismatched: 'of another shape' }[name]
      return `${list.length} ${words}: ${list.slice(0, 20).join(', ')}${list.length > 20 ? ', …' : ''}`
    })
    throw new CheckpointError(
      `${this.path}: Expected an adapter whose tensors fit the base and its adapter_config.json, got ${listed.join('; ')}. Check that it was trained on this base.`,
      report,
    )
  }

  /** @throws CheckpointError for fields with an effect that are not supported */
  refuseUnknownFields(known: ReadonlySet<string>): void {
    const hasNoEffect = (value: unknown) =>
      value === null || value === false || (typeof value === 'object' && Object.keys(value as object).length === 0)
    const others = Object.entries(this.fields).filter(([name, value]) => !known.has(name) && !hasNoEffect(value))
    if (others.length > 0)
      throw new CheckpointError(
        `${this.path}: Expected supported fields in adapter_config.json, got ${others.map(([name, value]) => `${name} = ${show(value)}`).join(', ')}. Merge the adapter into its base with PEFT, or train it without them.`,
      )
  }
}

/** An adapter as read from files. */
export interface FoundAdapter<Config> {
  config: Config
  plan(context: AttachContext): Attachment
  /** Copies the values into the attachment that `plan` made. */
  fill(attachment: Attachment): void
}

/** Contents of PEFT's two files. */
export interface PeftContents {
  fields: Record<string, unknown>
  /** Tensors by key, without PEFT's prefix. */
  tensors: Map<string, Tensor>
  /** Keys that PEFT writes without its prefix. */
  bare?: ReadonlySet<string>
}

/** How a method is stored in PEFT's files. */
export interface PeftFormat<Config> {
  /** `peft_type` */
  type: string
  /** PEFT's prefix of the names of the base's own modules (default: `base_model.model.`). */
  prefix?: string
  /** Fields and tensors of an adapter. */
  write(model: Model, config: Config, attachment: Attachment): PeftContents
  /** Names of the fields that `read` uses. */
  fields: readonly string[]
  /** Reads an adapter. @throws CheckpointError for settings that are not supported */
  read(file: PeftFile, model: Model): FoundAdapter<Config>
}

/** @throws CheckpointError for an adapter with biases of the base, which it changes */
export const expectNoBias = ({ path, fields }: PeftFile): void => {
  if ((fields.bias ?? 'none') !== 'none')
    throw new CheckpointError(
      `${path}: Expected "none" for \`bias\`, got ${show(fields.bias)}: trained biases of the base are not supported. Merge the adapter into its base with PEFT.`,
    )
}

/** A number of the fields. @throws CheckpointError for anything else */
export const numberField = (file: PeftFile, name: string, fallback: number): number => {
  const value = file.fields[name] ?? fallback
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new CheckpointError(`${file.path}: Expected a number for \`${name}\`, got ${show(value)}.`)
}
