// Writes src/runs/recipe-types/: the types of recipes with the help of each key as its JSDoc, which editors show on hover. The zod schemas are
// their only source. Set-up, and `npm run generate` alone, runs it through tsx after a schema has changed.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const { z } = await import('zod')
const { recipeParts } = await import('../src/runs/recipe-parts.ts')
const { trainingSchema } = await import('../src/training/index.ts')
const { models } = await import('../src/models/index.ts')
const { objectives } = await import('../src/objectives/index.ts')
const { alignObjectives } = await import('../src/runs/align/objectives.ts')

const folder = fileURLToPath(new URL('../src/runs/recipe-types/', import.meta.url))
const inner = (schema) => schema.def.innerType ?? (schema.def.type === 'pipe' ? schema.def.in : undefined)

/** The first value that `pick` finds in a schema or in those it wraps. */
const search = (schema, pick) => {
  for (let layer = schema; layer !== undefined; layer = inner(layer)) {
    const found = pick(layer)
    if (found !== undefined) return found
  }
  return undefined
}

const descriptionOf = (schema) => search(schema, (layer) => layer.description)
const defaultOf = (schema) =>
  search(schema, ({ def }) => (def.type === 'default' || def.type === 'prefault' ? def.defaultValue : undefined))
const isOptional = (schema) => schema._zod.optin === 'optional' || schema.safeParse(undefined).success

const text = (value) => `'${String(value).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : text(name))
const indent = (lines) =>
  lines
    .split('\n')
    .map((line) => (line === '' ? line : `  ${line}`))
    .join('\n')

/** Wraps help to lines of at most 100 characters. */
const wrap = (words) => {
  const lines = ['']
  for (const word of words.replaceAll('*/', '* /').split(/\s+/)) {
    const last = lines.length - 1
    if (lines[last] !== '' && lines[last].length + word.length > 100) lines.push(word)
    else lines[last] += lines[last] === '' ? word : ` ${word}`
  }
  return lines
}

/** Fields that every kind of run has alike, with types of their own. */
const sharedTypes = new Map([
  [trainingSchema.shape.optimizer, 'OptimizerInput'],
  [trainingSchema.shape.schedule, 'ScheduleInput'],
])

/** Sentences of help: a capital letter, a full stop, the default. */
const docOf = (schema) => {
  const help = descriptionOf(schema)
  const value = defaultOf(schema)
  const hasDefault = value !== undefined && (typeof value !== 'object' || Object.keys(value).length > 0)
  const sentences = [
    ...(help ? [`${/^[a-z]+[\s;:(,-]/.test(help) ? help[0].toUpperCase() + help.slice(1) : help}.`] : []),
    ...(hasDefault ? [`Default: \`${typeof value === 'string' ? value : JSON.stringify(value)}\`.`] : []),
  ]
  if (sentences.length === 0) return ''
  const lines = wrap(sentences.join(' '))
  return lines.length === 1 ? `/** ${lines[0]} */\n` : `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */\n`
}

/** A field; an optional one may be undefined, for programs under `exactOptionalPropertyTypes`. */
const declared = (name, type, optional) =>
  !optional || type === 'unknown'
    ? `${key(name)}${optional ? '?' : ''}: ${type}`
    : `${key(name)}?: ${type === 'undefined' ? type : `${type} | undefined`}`

const fieldsOf = (shape, without = []) =>
  Object.entries(shape)
    .filter(([name]) => !without.includes(name))
    .map(([name, field]) => docOf(field) + declared(name, sharedTypes.get(field) ?? typeOf(field), isOptional(field)))
    .join('\n')

const objectType = (shape, without, empty = 'Record<never, never>') => {
  const fields = fieldsOf(shape, without)
  return fields === '' ? empty : `{\n${indent(fields)}\n}`
}

const unionOf = (types) => [...new Set(types)].join(' | ')
const grouped = (type) => (/[|&]/.test(type) && !type.startsWith('{') ? `(${type})` : type)

/** The type of what a schema takes. */
const typeOf = (schema) => {
  const { def } = schema
  switch (def.type) {
    case 'string':
    case 'boolean':
    case 'bigint':
    case 'null':
    case 'unknown':
      return def.type
    case 'number':
    case 'int':
      return 'number'
    case 'literal':
      return unionOf(def.values.map((value) => (typeof value === 'string' ? text(value) : String(value))))
    case 'enum':
      return unionOf(schema.options.map(text))
    case 'array':
      return `readonly ${grouped(typeOf(def.element))}[]`
    case 'tuple':
      return `readonly [${def.items.map(typeOf).join(', ')}]`
    case 'record':
      return `{ readonly [name: string]: ${typeOf(def.valueType)} }`
    case 'object':
      return objectType(def.shape)
    case 'union':
      return unionOf(schema.options.map(typeOf))
    case 'intersection':
      return [def.left, def.right].map((side) => grouped(typeOf(side))).join(' & ')
    case 'lazy':
      return typeOf(def.getter())
    case 'pipe':
      return typeOf(def.in.def.type === 'transform' ? def.out : def.in)
    case 'optional':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return typeOf(def.innerType)
    case 'nullable':
      return unionOf([typeOf(def.innerType), 'null'])
    default:
      return 'unknown'
  }
}

const pascal = (type) => type.replace(/(^|-)([a-z0-9])/g, (_, __, letter) => letter.toUpperCase())

/** @param empty type of a choice without settings, where it is not joined with that of others */
const byChoice = (name, doc, schemas, empty) =>
  `/** ${doc} */\nexport interface ${name} {\n${indent(
    Object.entries(schemas)
      .map(([type, schema]) => `${key(type)}: ${objectType(schema.shape, ['type'], empty)}`)
      .join('\n'),
  )}\n}\n`

const settings = (name, doc, schema, without, base) =>
  `/** ${doc} */\nexport interface ${name}${base ? ` extends ${base}` : ''} {\n${indent(fieldsOf(schema.shape, without))}\n}\n`

/** Names of the settings that several kinds of run have with the same type and the same help. */
const settingsOfAll = (schemas) => {
  const [first, ...others] = schemas.map(({ shape }) => shape)
  return Object.keys(first).filter((name) => {
    const field = fieldsOf({ [name]: first[name] })
    return others.every((shape) => name in shape && fieldsOf({ [name]: shape[name] }) === field)
  })
}

/** A file for each of several schemas, with one interface; the imports of these, and the fields of an interface of all. */
const inFiles = (kind, ending, doc, schemas) => {
  const all = Object.entries(schemas).map(([type, schema]) => ({ type, schema, name: `${pascal(type)}${ending}` }))
  return {
    files: Object.fromEntries(
      all.map(({ type, schema, name }) => [
        `${kind}-${type}.ts`,
        [`/** ${doc} ${type}. */\nexport interface ${name} {\n${indent(fieldsOf(schema.shape))}\n}\n`],
      ]),
    ),
    imports: all.map(({ type, name }) => `import type { ${name} } from './${kind}-${type}.ts'\n`).join(''),
    fields: indent(all.map(({ type, name }) => `${key(type)}: ${name}`).join('\n')),
  }
}

/** The files of architectures: one for each, and their union. */
const modelFiles = ({ parts: [config], schema }) => {
  const modelShape = search(schema.shape.model, ({ def }) => def.shape)
  const presets = Object.values(models).map(
    ({ type, presets }) => `${key(type)}: ${unionOf(Object.keys(presets).map(text))}`,
  )
  const modelParts = inFiles('model', 'Config', 'Settings of the architecture', config.schemas)
  return {
    ...modelParts.files,
    'models.ts': [
      `${modelParts.imports}
/** Settings of \`model.config\`, by \`model.type\`. */
export interface ModelConfigs {
${modelParts.fields}
}
`,
      `/** Names of presets, by \`model.type\`. */\nexport interface ModelPresets {\n${indent(presets.join('\n'))}\n}\n`,
      `/** A new model: an architecture with a preset, a depth or its own settings. */
export type NewModel = {
  [Type in keyof ModelConfigs]: {
${indent(
  indent(`${docOf(modelShape.type)}type: Type
${docOf(modelShape.preset)}preset?: (Type extends keyof ModelPresets ? ModelPresets[Type] : string) | undefined
${docOf(modelShape.depth)}depth?: number | undefined
${docOf(modelShape.config)}config?: ModelConfigs[Type] | undefined`),
)}
  }
}[keyof ModelConfigs]
`,
    ],
  }
}

const objectiveFiles = () => {
  const objectiveSchemas = Object.fromEntries(
    Object.values(objectives).map(({ type, config: own }) => [type, own instanceof z.ZodObject ? own : z.object({})]),
  )
  return {
    'objectives.ts': [
      byChoice('ObjectiveSettings', 'Settings of `objective`, by its `type`.', objectiveSchemas),
      `/** An objective with its settings. */
export type ObjectiveInput = {
  [Type in keyof ObjectiveSettings]: {
    /** Pretraining objective. */
    type: Type
  } & ObjectiveSettings[Type]
}[keyof ObjectiveSettings]
`,
    ],
  }
}

/** The files of tasks and of variants, which recipes of fine-tuning choose. */
const choiceFiles = (finetune) => {
  const [task, variant] = finetune.parts
  const taskParts = inFiles('task', 'Settings', 'Settings of the task', task.schemas)
  return {
    ...taskParts.files,
    'tasks.ts': [
      `${taskParts.imports}
/** Settings of \`settings\`, by \`task\`. */
export interface TaskSettings {
${taskParts.fields}
}
`,
      `/** A task with its settings. */
export type TaskChoice = {
  [Task in keyof TaskSettings]: {
${indent(
  indent(`${docOf(finetune.schema.shape.task)}task: Task
${docOf(finetune.schema.shape.settings)}settings?: TaskSettings[Task] | undefined`),
)}
  }
}[keyof TaskSettings]
`,
    ],
    'variants.ts': [
      byChoice('VariantSettings', 'Settings of `adapter`, by `variant`.', variant.schemas, 'undefined'),
      `/** A variant with its settings. */
export type VariantChoice = {
  [Variant in keyof VariantSettings]: {
${indent(
  indent(`${docOf(finetune.schema.shape.variant)}variant: Variant
${docOf(finetune.schema.shape.adapter)}adapter?: VariantSettings[Variant] | undefined`),
)}
  }
}[keyof VariantSettings]
`,
    ],
  }
}

const runFile = (schema, shared) => ({
  'run.ts': [
    "import type { OptimizerInput, ScheduleInput } from './optimization.ts'\n",
    `/** Settings that runs of all kinds have alike. */\nexport interface RunSettings {\n${indent(
      fieldsOf(Object.fromEntries(shared.map((name) => [name, schema.shape[name]]))),
    )}\n}\n`,
  ],
})

const pretrainFile = (pretrain, shared) => {
  const { model, objective } = pretrain.schema.shape
  const modelShape = search(model, ({ def }) => def.shape)
  return {
    'pretrain.ts': [
      `import type { NewModel } from './models.ts'
import type { ObjectiveInput } from './objectives.ts'
import type { RunSettings } from './run.ts'
import type { VariantChoice } from './variants.ts'
`,
      settings(
        'PretrainSettings',
        'Settings of a pretraining run, whatever the model.',
        pretrain.schema,
        ['command', 'model', 'base', 'objective', 'variant', 'adapter', ...shared],
        'RunSettings',
      ),
      `/** The recipe of a pretraining run: of a new \`model\`, or of a \`base\` that is trained further. */
export type PretrainInput = PretrainSettings & {
  command?: 'pretrain' | undefined
${indent(`${docOf(objective)}objective: ObjectiveInput`)}
} & (
    | {
        model: NewModel
        base?: undefined
        variant?: undefined
        adapter?: undefined
      }
    | ({
${indent(indent(indent(indent(`${docOf(pretrain.schema.shape.base)}base: string`))))}
        model?: {
          type?: undefined
${indent(indent(indent(indent(indent(`${docOf(modelShape.config)}config?: { readonly [setting: string]: unknown } | undefined`)))))}
        }
      } & (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined }))
  )
`,
    ],
  }
}

const optimizationFile = () => ({
  'optimization.ts': [...sharedTypes].map(
    ([schema, name]) =>
      `/** A setting of every kind of run: ${descriptionOf(schema) ?? `one of several, by its \`type\``}. */\nexport type ${name} = ${typeOf(schema)}\n`,
  ),
})

const finetuneFile = (finetune, shared) => ({
  'finetune.ts': [
    `import type { RunSettings } from './run.ts'
import type { TaskChoice } from './tasks.ts'
import type { VariantChoice } from './variants.ts'
`,
    settings(
      'FinetuneSettings',
      'Settings of a fine-tuning run, whatever task and variant.',
      finetune.schema,
      ['command', 'task', 'settings', 'variant', 'adapter', ...shared],
      'RunSettings',
    ),
    `/** The recipe of a fine-tuning run. */
export type FinetuneInput = FinetuneSettings & TaskChoice & (VariantChoice | { variant?: undefined; adapter?: undefined })
`,
  ],
})

/** A task of a run of several, and that run: settings that it shares with fine-tuning have their help there. */
const multitaskFile = (finetune, multitask) => {
  const shared = Object.keys(multitask.schema.shape)
  const left = Object.keys(finetune.schema.shape).filter(
    (name) => !shared.includes(name) && !['command', 'task', 'settings', 'variant', 'adapter'].includes(name),
  )
  const own = shared.filter((name) => name in finetune.schema.shape)
  const [, record] = multitask.schema.shape.tasks.options
  const entry = record.valueType
  return {
    'multitask.ts': [
      `import type { FinetuneSettings } from './finetune.ts'
import type { TaskSettings } from './tasks.ts'
import type { VariantChoice } from './variants.ts'
`,
      settings('MultitaskEntry', 'Settings of a task of a run of several, whatever its type.', entry, [
        'type',
        'settings',
      ]),
      `/** A task of a run of several, by its type. */
export type MultitaskTask = {
  [Task in keyof TaskSettings]: MultitaskEntry & {
${indent(
  indent(`${docOf(entry.shape.type)}type: Task
${docOf(entry.shape.settings)}settings?: TaskSettings[Task] | undefined`),
)}
  }
}[keyof TaskSettings]
`,
      `/** Settings of a run of several tasks, whatever its tasks. */
export interface MultitaskSettings extends Omit<FinetuneSettings, ${unionOf(left.map(text))}> {
${indent(fieldsOf(multitask.schema.shape, [...own, 'tasks']))}
}
`,
      `/** The recipe of a run of several tasks. */
export type MultitaskInput = MultitaskSettings & {
${indent(`${docOf(multitask.schema.shape.tasks)}tasks: { readonly [name: string]: MultitaskTask } | readonly string[]`)}
} & (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined })
`,
    ],
  }
}

/** Objectives of one family are one member of the union: it is multiplied by the variants, and the compiler has limits. */
const alignFamilies = (alignment) => {
  const families = new Map()
  for (const { type, data, config: own } of alignObjectives()) {
    const key = data === 'prompts' ? own : data
    families.set(key, [...(families.get(key) ?? []), type])
  }
  return [...families.values()].map((types) => {
    const shape = Object.assign({}, ...types.map((type) => alignment.schemas[type].shape).reverse())
    // The type of an object without settings would take any.
    const name = Object.keys(shape).length === 0 ? 'Record<string, never>' : `${pascal(types[0])}Settings`
    return { types, name, shape }
  })
}

const alignFiles = (align, shared) => {
  const familyNames = alignFamilies(align.parts[0])
  return {
    'align.ts': [
      `import type { EnvironmentChoice, RewardInput } from '../../alignment/index.ts'
import type { AlignObjectiveChoice } from './align-objectives.ts'
import type { RunSettings } from './run.ts'
import type { VariantChoice } from './variants.ts'
`,
      settings(
        'AlignSettings',
        'Settings of an alignment run, whatever objective and variant.',
        align.schema,
        ['command', 'objective', 'settings', 'variant', 'adapter', 'rewards', 'judge', 'environment', ...shared],
        'RunSettings',
      ),
      `/** Rewards and environment of a recipe: names with settings, or functions of answers and turns. */
export interface AlignRewards {
${indent(`${docOf(align.schema.shape.rewards)}rewards?: readonly RewardInput[] | undefined
${docOf(align.schema.shape.judge)}judge?: RewardInput | undefined
${docOf(align.schema.shape.environment)}environment?: EnvironmentChoice | undefined`)}
}
`,
      `/** The recipe of an alignment run. */
export type AlignInput = AlignSettings &
  AlignRewards &
  AlignObjectiveChoice &
  (Exclude<VariantChoice, { variant: 'feature-based' }> | { variant?: undefined; adapter?: undefined })
`,
    ],
    'align-objectives.ts': [
      ...familyNames
        .filter(({ shape }) => Object.keys(shape).length > 0)
        .map(({ types, name, shape }) =>
          settings(
            name,
            `Settings of \`settings\` with the objectives ${types.join(', ')}; each has some of them.`,
            z.object(shape),
          ),
        ),
      `/** An objective of alignment with its settings. */
export type AlignObjectiveChoice =
${familyNames
  .map(
    ({ types, name }) => `  | {
${indent(
  indent(`${docOf(align.schema.shape.objective)}objective: ${unionOf(types.map(text))}
${docOf(align.schema.shape.settings)}settings?: ${name} | undefined`),
)}
    }`,
  )
  .join('\n')}
`,
    ],
  }
}

const indexFile = () => ({
  'index.ts': [
    `// The types of recipes, with the help of each key as its JSDoc.
${['align', 'align-objectives', 'finetune', 'models', 'multitask', 'objectives', 'optimization', 'pretrain', 'run', 'tasks', 'variants'].map((name) => `export type * from './${name}.ts'`).join('\n')}
`,
  ],
})

/** The files of src/runs/recipe-types/ by name. */
export const recipeTypes = () => {
  const { pretrain, finetune, multitask, align } = recipeParts()
  // The settings of `adapter` depend on `variant`.
  const shared = settingsOfAll([pretrain, finetune, align].map(({ schema }) => schema)).filter(
    (name) => name !== 'adapter',
  )
  const header = '// Written by scripts/generate-recipe-types.mjs from the zod schemas; do not edit.\n'
  const files = {
    ...modelFiles(pretrain),
    ...choiceFiles(finetune),
    ...objectiveFiles(),
    ...runFile(pretrain.schema, shared),
    ...pretrainFile(pretrain, shared),
    ...optimizationFile(),
    ...finetuneFile(finetune, shared),
    ...multitaskFile(finetune, multitask),
    ...alignFiles(align, shared),
    ...indexFile(),
  }
  return Object.fromEntries(Object.entries(files).map(([name, parts]) => [name, [header, ...parts].join('\n')]))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = recipeTypes()
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (!(name in files)) rmSync(join(folder, name))
  for (const [name, source] of Object.entries(files)) writeFileSync(join(folder, name), source)
}
