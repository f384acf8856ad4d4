// Patterns of layers: names or paths with `*` for anything, `{a,b}` for one of several and `{0-5}` for a range of numbers.
import { ConfigError, show } from '../core/index.ts'

const literal = (text: string): string => text.replace(/[.+?^$()|[\]\\]/g, '\\$&')

const alternatives = (listed: string, pattern: string): string =>
  `(?:${listed
    .split(',')
    .flatMap((one) => {
      const range = /^(\d+)-(\d+)$/.exec(one)
      if (range === null) return [literal(one)]
      const [from, to] = [Number(range[1]), Number(range[2])]
      if (from > to || to - from > 10_000)
        throw new ConfigError(`Expected a range from a smaller to a larger number, got ${show(pattern)}.`)
      return Array.from({ length: to - from + 1 }, (_, i) => String(from + i))
    })
    .join('|')})`

/**
 * Whether a path ends with what a pattern names, from the beginning of one of its parts: `qProj`, `layers.{0-5}.*`.
 * @throws ConfigError for a pattern of another form
 */
export const layerPattern = (pattern: string): ((path: string) => boolean) => {
  if (!/^(?:[\w.*-]|\{[\w,-]+\})+$/.test(pattern))
    throw new ConfigError(
      `Expected a layer as its name, or a path with \`*\`, \`{a,b}\` or \`{0-5}\`, such as layers.{0-5}.*Proj, got ${show(pattern)}.`,
    )
  const parts = pattern.split(/(\*+|\{[^}]*\})/).map((part) => {
    if (part.startsWith('*')) return '.*'
    return part.startsWith('{') ? alternatives(part.slice(1, -1), pattern) : literal(part)
  })
  const expression = new RegExp(`(?:^|\\.)${parts.join('')}$`)
  return (path) => expression.test(path)
}

/** The value of the first pattern that matches a path. */
export const patternValue = (patterns: Readonly<Record<string, number>>, path: string): number | undefined =>
  Object.entries(patterns).find(([pattern]) => layerPattern(pattern)(path))?.[1]
