// Reads step events fast: they are most lines of a long run. The layout of such lines is taken from one that was parsed and checked; from a line
// of the same layout, the values are extracted without parsing it.
import type { StepEvent, TrainingEvent } from './event-types.ts'

/** The fields of a step that a summary needs. */
export type StepOutline = Pick<StepEvent, (typeof outlined)[number]>

const outlined = ['type', 'time', 'step', 'loss', 'tokens', 'tokensPerSecond', 'seconds', 'totalSteps'] as const

/** The other fields that every step has. */
const further = ['learningRate', 'gradientNorm', 'dataSeconds', 'memoryBytes'] as const

/** Layouts per file, as a resumed run may have other fields. After these, lines are parsed. */
const mostForms = 16

// Numbers as JSON writes them. One that is not finite is null, and its line is parsed.
const number = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?`
const date = String.raw`\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z`
/** Fields of a step that are no plain numbers. */
const special: Record<string, string> = {
  type: '"(step)"',
  time: `"(${date})"`,
  step: String.raw`(0|[1-9]\d{0,14})`,
}

const literal = (text: string) => JSON.stringify(text).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

/** Where a captured value belongs: a field of the step, or of a table of it. */
interface Place {
  table: string | undefined
  name: string
}

/** A layout while its pattern is written. */
class FormPattern {
  /** Places of the captured values, in their order. */
  readonly places: Place[] = []
  readonly #all: boolean

  /** @param all whether every number is captured, or only those of an outline */
  constructor(all: boolean) {
    this.#all = all
  }

  /** A pattern for an object of numbers and of objects of numbers; undefined if it has other values. */
  of(fields: object, table?: string): string | undefined {
    const parts: string[] = []
    for (const [name, value] of Object.entries(fields)) {
      // Assigning to this name adds no field.
      if (name === '__proto__') return undefined
      const pattern = this.#valueOf(name, value, table)
      if (pattern === undefined) return undefined
      parts.push(`${literal(name)}:${pattern}`)
    }
    return String.raw`\{${parts.join(',')}\}`
  }

  #valueOf(name: string, value: unknown, table: string | undefined): string | undefined {
    const isOutlined = table === undefined && (outlined as readonly string[]).includes(name)
    if (isOutlined || typeof value === 'number') {
      if (!isOutlined && !this.#all) return number
      this.places.push({ table, name })
      return (isOutlined ? special[name] : undefined) ?? `(${number})`
    }
    // Tables inside tables are of no known field: such lines are parsed.
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value) && table === undefined
    return isTable ? this.of(value, name) : undefined
  }
}

interface Form {
  text: string
  pattern: RegExp
  /** Index of the captured value of each field that every step has. */
  at: Record<(typeof outlined)[number] | (typeof further)[number], number>
  /** Names of the tables, and what is captured beyond the fields that every step has. */
  tables: string[]
  rest: { index: number; place: Place }[]
}

const formOf = (text: string, places: readonly Place[], fields: object): Form => {
  const entries = places.map((place, i) => ({ index: i + 1, place }))
  const isFixed = ({ table, name }: Place) =>
    table === undefined && ([...outlined, ...further] as readonly string[]).includes(name)
  return {
    text,
    pattern: new RegExp(`^${text}$`),
    at: Object.fromEntries(
      entries.filter(({ place }) => isFixed(place)).map(({ place, index }) => [place.name, index]),
    ) as Form['at'],
    tables: Object.entries(fields).flatMap(([name, value]) => (typeof value === 'object' ? [name] : [])),
    rest: entries.filter(({ place }) => !isFixed(place)),
  }
}

const outlineOf = (found: RegExpExecArray, { at }: Form): StepOutline => ({
  type: 'step',
  time: found[at.time],
  step: Number(found[at.step]),
  loss: Number(found[at.loss]),
  tokens: Number(found[at.tokens]),
  tokensPerSecond: Number(found[at.tokensPerSecond]),
  seconds: Number(found[at.seconds]),
  totalSteps: Number(found[at.totalSteps]),
})

const stepOf = (found: RegExpExecArray, { at, tables, rest }: Form): StepEvent => {
  // One literal: with a spread of an outline in it, this takes six times as long.
  const step: StepEvent = {
    type: 'step',
    time: found[at.time],
    step: Number(found[at.step]),
    loss: Number(found[at.loss]),
    learningRate: Number(found[at.learningRate]),
    gradientNorm: Number(found[at.gradientNorm]),
    tokens: Number(found[at.tokens]),
    tokensPerSecond: Number(found[at.tokensPerSecond]),
    seconds: Number(found[at.seconds]),
    dataSeconds: Number(found[at.dataSeconds]),
    memoryBytes: Number(found[at.memoryBytes]),
    totalSteps: Number(found[at.totalSteps]),
  }
  // Steps have optional fields by name; a layout was taken from an event that was checked, so these are such fields.
  const fields = step as unknown as Record<string, number | Record<string, number>>
  for (const table of tables) fields[table] = {}
  for (const { index, place } of rest) {
    const owner = place.table === undefined ? fields : (fields[place.table] as Record<string, number>)
    owner[place.name] = Number(found[index])
  }
  return step
}

/** The layouts of one file, by which its lines are read: some steps may have fields that others have not. */
class StepForms<Step> {
  readonly #forms: Form[] = []
  readonly #all: boolean
  readonly #make: (found: RegExpExecArray, form: Form) => Step

  /** @param all whether every number is captured, or only those of an outline */
  constructor(all: boolean, make: (found: RegExpExecArray, form: Form) => Step) {
    this.#all = all
    this.#make = make
  }

  /** The step of a line; undefined if it has none of the layouts that were learned. */
  read(line: string): Step | undefined {
    for (const form of this.#forms) {
      const found = form.pattern.exec(line)
      if (found !== null) return this.#make(found, form)
    }
    return undefined
  }

  /** Learns the layout of a step's line that was not recognised. */
  learn(event: TrainingEvent): void {
    if (event.type !== 'step' || this.#forms.length >= mostForms) return
    const pattern = new FormPattern(this.#all)
    const text = pattern.of(event)
    // A line with a number that is not finite has a layout that is known.
    if (text === undefined || this.#forms.some((form) => form.text === text)) return
    this.#forms.push(formOf(text, pattern.places, event))
  }
}

/** Reads the outlines of steps. */
export const stepOutlines = (): StepForms<StepOutline> => new StepForms(false, outlineOf)

/** Reads whole steps. */
export const stepLines = (): StepForms<StepEvent> => new StepForms(true, stepOf)
