// The registry of export targets.
import { ConfigError, didYouMean } from '../core/index.ts'
import type { ExportTarget } from './export-target.ts'
import { gguf } from './gguf/gguf.ts'
import { merged } from './merged/merged.ts'
import { ollama } from './ollama/ollama.ts'
import { onnx } from './onnx/onnx.ts'

/** Every target, in the order in which `export` writes them. */
export const exportTargets: readonly ExportTarget[] = [merged, gguf, ollama, onnx]

/** A target with its variant. */
export interface ChosenTarget {
  /** As the caller named it. */
  name: string
  target: ExportTarget
  /** Part after the colon; empty without one. */
  variant: string
}

const namesOf = ({ type, variants, defaultVariant }: ExportTarget): string[] => [
  ...(defaultVariant === undefined || variants.length > 0 ? [type] : []),
  ...variants.map((variant) => `${type}:${variant}`),
]

/** Names of all targets with their variants. */
export const targetNames = (): string[] => exportTargets.flatMap(namesOf)

/** The target of a name such as `gguf:q8_0`. @throws ConfigError for an unknown one, with the nearest */
export const chooseTarget = (name: string): ChosenTarget => {
  const [type, ...rest] = name.toLowerCase().split(':')
  const target = exportTargets.find((one) => one.type === type)
  const variant = rest.join(':') || target?.defaultVariant || ''
  if (target !== undefined && rest.length <= 1 && (variant === '' || target.variants.includes(variant)))
    return { name: variant === '' ? type : `${type}:${variant}`, target, variant }
  const names = target === undefined ? targetNames() : namesOf(target)
  throw new ConfigError(`Expected one of ${names.join(', ')} for \`to\`, got "${name}".${didYouMean(name, names)}`)
}
