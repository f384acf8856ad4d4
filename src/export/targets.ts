// The registry of export targets.
import { ConfigError, didYouMean } from '../core/index.ts'
import type { ExportTarget } from './export-target.ts'
import { gguf } from './gguf/gguf.ts'
import { ggufAdapter } from './gguf-adapter/gguf-adapter.ts'
import { merged } from './merged/merged.ts'
import { ollama } from './ollama/ollama.ts'
import { onnx } from './onnx/onnx.ts'
import { web } from './web/web.ts'

/** Every target, in the order in which `export` writes them. */
export const exportTargets: readonly ExportTarget[] = [merged, gguf, ggufAdapter, ollama, onnx, web]

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

const targetNames = (): string[] => exportTargets.flatMap(namesOf)

/** The target of a name such as `gguf:q8_0`. @throws ConfigError for an unknown one, with the nearest */
export const chooseTarget = (name: string): ChosenTarget => {
  const [type, ...rest] = name.toLowerCase().split(':')
  const target = exportTargets.find((one) => one.type === type)
  const variant = rest.join(':') || target?.defaultVariant || ''
  if (target !== undefined && rest.length <= 1 && (variant === '' || target.variants.includes(variant)))
    return { name: variant === '' ? type : `${type}:${variant}`, target, variant }
  if (target === undefined)
    throw new ConfigError(
      `Expected ${exportTargets.map((one) => one.type).join(', ')} or one of their variants for \`to\`, got "${name}".${didYouMean(name, targetNames())}`,
    )
  const variants = target.variants.length === 0 ? 'nothing' : `one of ${target.variants.join(', ')}`
  throw new ConfigError(
    `Expected ${variants} after \`${type}:\` in \`to\`, got "${name}".${didYouMean(name, namesOf(target))}`,
  )
}
