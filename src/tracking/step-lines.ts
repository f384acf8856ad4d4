// Reads step events fast: they are most lines of a long run, and a summary needs few fields. The layout of such lines is taken from one that
// was parsed and checked; from a line of the same layout, the needed values are extracted without parsing it.
import type { StepEvent, TrainingEvent } from './event-types.ts'

/** The fields of a step that a summary needs. */
export type StepOutline = Pick<StepEvent, (typeof kept)[number]>

const kept = ['type', 'time', 'step', 'loss', 'tokens', 'tokensPerSecond', 'seconds', 'totalSteps'] as const

/** Layouts per file, as a resumed run may have other fields. After these, lines are parsed. */
const mostForms = 16

// Numbers as JSON writes them. One that is not finite is null, and its line is parsed.
const number = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?`
const known: Record<string, string> = {
  type: '"(step)"',
  time: String.raw`"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z)"`,
  step: String.raw`(0|[1-9]\d{0,14})`,
  loss: `(${number})`,
  tokens: `(${number})`,
  tokensPerSecond: `(${number})`,
  seconds: `(${number})`,
  totalSteps: `(${number})`,
}

const literal = (text: string) => JSON.stringify(text).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

/** A pattern for an object of numbers and of objects of numbers; undefined if it has other values. */
const patternOf = (fields: object, named: Record<string, string>): string | undefined => {
  const parts: string[] = []
  for (const [name, value] of Object.entries(fields)) {
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    const pattern = named[name] ?? (typeof value === 'number' ? number : isTable ? patternOf(value, {}) : undefined)
    if (pattern === undefined) return undefined
    parts.push(`${literal(name)}:${pattern}`)
  }
  return String.raw`\{${parts.join(',')}\}`
}

interface Form {
  text: string
  pattern: RegExp
  at: Record<(typeof kept)[number], number>
}

/** The layouts of one file: some steps may have fields that others have not. */
export class StepLines {
  readonly #forms: Form[] = []

  /** The fields of a line; undefined if it has none of the layouts that were learned. */
  read(line: string): StepOutline | undefined {
    for (const { pattern, at } of this.#forms) {
      const found = pattern.exec(line)
      if (found === null) continue
      return {
        type: 'step',
        time: found[at.time],
        step: Number(found[at.step]),
        loss: Number(found[at.loss]),
        tokens: Number(found[at.tokens]),
        tokensPerSecond: Number(found[at.tokensPerSecond]),
        seconds: Number(found[at.seconds]),
        totalSteps: Number(found[at.totalSteps]),
      }
    }
    return undefined
  }

  /** Learns the layout of a step's line that `read` did not recognise. */
  learn(event: TrainingEvent): void {
    if (event.type !== 'step' || this.#forms.length >= mostForms) return
    const text = patternOf(event, known)
    // A line with a number that is not finite has a layout that is known.
    if (text === undefined || this.#forms.some((form) => form.text === text)) return
    const order = Object.keys(event).filter((name) => (kept as readonly string[]).includes(name))
    const at = Object.fromEntries(order.map((name, i) => [name, i + 1])) as Record<(typeof kept)[number], number>
    this.#forms.push({ text, pattern: new RegExp(`^${text}$`), at })
  }
}
