// The schema of a task file: a benchmark as data. Where its rows are, how a row becomes a prompt, what is scored and by which
// metrics. Independent of single benchmarks.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { findKind, harnessKinds } from './kinds/index.ts'
import type { CompiledKind } from './kinds/kind.ts'
import { compileTemplate, type Template } from './template.ts'

const stepField = z.union([
  z.enum(['trim', 'lower', 'upper']).describe('white space at both ends, or case'),
  z.strictObject({
    replace: z.string().describe('regular expression'),
    with: z.string().default('').describe('replacement of every match'),
  }),
])
type TextStep = z.output<typeof stepField>

const commonFields = {
  name: z
    .string()
    .regex(/^[\w-]+$/)
    .describe('name, as in `--harness` and in results'),
  summary: z.string().default('').describe('what is measured, in one line'),
  source: z.string().default('').describe('where it is published'),
  data: z
    .strictObject({
      path: z
        .string()
        .optional()
        .describe('file or folder, seen from the task file (default: the entry of this name in the folder of --data)'),
      hub: z
        .string()
        .optional()
        .describe(
          'data set of the Hugging Face Hub that has the data: owner/name or owner/name/subset; it is read with `--data hub:`, and named where data is missing',
        ),
      split: z.string().default('test').describe('split that is evaluated'),
    })
    .prefault({}),
  columns: z
    .record(
      z.string(),
      z.strictObject({
        value: z.string().describe('template of the text, or of a list as JSON'),
        list: z.boolean().default(false).describe('the template writes a list as JSON'),
        steps: z.array(stepField).default([]).describe('changes of the text, or of each text of the list, in order'),
      }),
    )
    .default({})
    .describe('columns that are made from those of the data'),
  description: z.string().default('').describe('template of the text before the first example'),
  group: z
    .string()
    .optional()
    .describe(
      'template of the group of a row, such as its subject: groups have scores and few-shot examples of their own',
    ),
  delimiter: z.string().default(' ').describe('text between prompt and answer'),
  fewShot: z
    .strictObject({
      count: z.int().nonnegative().default(0).describe('examples before the prompt'),
      split: z.string().default('train').describe('split that they are chosen from'),
      choice: z
        .enum(['random', 'first'])
        .default('random')
        .describe('random: for each row anew, as lm-eval chooses them; first: the first ones of the split'),
      excludeRow: z
        .boolean()
        .default(false)
        .describe('choose one more and leave out the row itself, as lm-eval does where both splits are one or unnamed'),
      separator: z.string().default('\n\n').describe('text after each example'),
    })
    .prefault({}),
}

/** A branch of the schema: the fields of every kind and those of one. */
const branch = <const Type extends string, Own extends z.ZodObject>({
  type,
  fields,
}: {
  type: Type
  fields: Own
}): z.ZodObject<{ type: z.ZodLiteral<Type> } & typeof commonFields & Own['shape'], z.core.$strict> =>
  z.strictObject({ type: z.literal(type).describe('kind of benchmark'), ...commonFields, ...fields.shape }) as never

const harnessTaskSchema = z.discriminatedUnion('type', [
  branch(harnessKinds[0]),
  branch(harnessKinds[1]),
  branch(harnessKinds[2]),
  branch(harnessKinds[3]),
])
/** A task file, as written. */
export type HarnessTaskInput = z.input<typeof harnessTaskSchema>
type HarnessTaskFile = z.output<typeof harnessTaskSchema>

/** Declares a benchmark; also what a task file in TypeScript exports by default. */
export const defineHarnessTask = <const Task extends HarnessTaskInput>(task: Task): Task => task

/** A benchmark that is ready to be run. */
export interface HarnessTask
  extends Pick<HarnessTaskFile, 'name' | 'summary' | 'source' | 'data' | 'delimiter' | 'fewShot'>,
    CompiledKind {
  /** Made columns in their order. */
  columns: { name: string; value: Template; list: boolean; steps: readonly ((text: string) => string)[] }[]
  description: Template
  group: Template | undefined
  /** Folder of the task file, which its path is seen from. */
  folder: string | undefined
}

const changes: Record<Extract<TextStep, string>, (text: string) => string> = {
  trim: (text) => text.trim(),
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
}

const changeOf = (step: TextStep, where: string): ((text: string) => string) => {
  if (typeof step === 'string') return changes[step]
  let pattern: RegExp
  try {
    pattern = new RegExp(step.replace, 'gu')
  } catch (error) {
    throw new ConfigError(`Expected a regular expression for \`${where}\`, got ${(error as Error).message}.`)
  }
  return (text) => text.replace(pattern, () => step.with)
}

/** Checks a task file and parses its templates. @throws ConfigError that lists every fault */
export const compileTask = (input: unknown, where: string, folder?: string): HarnessTask => {
  const task = parseConfig(harnessTaskSchema, input, where)
  try {
    const kind = findKind(task.type)
    const { delimiter } = task
    const own = Object.fromEntries(Object.keys(kind.fields.shape).map((name) => [name, (task as never)[name]]))
    return {
      ...kind.compile(own as never, delimiter),
      name: task.name,
      summary: task.summary,
      source: task.source,
      data: task.data,
      delimiter,
      fewShot: task.fewShot,
      columns: Object.entries(task.columns).map(([name, { value, list, steps }]) => ({
        name,
        value: compileTemplate(value, `columns.${name}.value`),
        list,
        steps: steps.map((step, i) => changeOf(step, `columns.${name}.steps[${i}]`)),
      })),
      description: compileTemplate(task.description, 'description'),
      group: task.group === undefined ? undefined : compileTemplate(task.group, 'group'),
      folder,
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.faults.map((fault) => `${where}: ${fault}`))
  }
}
