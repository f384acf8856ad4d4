// Maps between the paths of our layers and module names of transformers, which PEFT's files use. Independent of methods
// and architectures: everything follows from the key rules of the models.
import { expandRules, joinFused, splitFused } from '../../checkpoint/index.ts'
import { type HeadType, type Model, modelKeys } from '../../models/index.ts'
import { type KeyRule, Linear, type Module } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { TABLE_PATH, TIED_PATH } from '../targets.ts'
import type { PeftFile } from './format.ts'

/** A linear module of transformers, and our layers that are fused in it, in order. */
export interface NamedLinear {
  /** Name of the module. */
  theirs: string
  /** The name after the layer's number; the whole name outside the numbered layers. */
  suffix: string
  parts: { path: string; layer: Linear }[]
  /** Whether it is a Conv1D of transformers, whose matrix is transposed. */
  transposed: boolean
  /** Number of heads, where the parts are fused head after head. */
  heads?: number
}

/** The key rules of a model with the names of modules, which files of adapters have. */
export const rulesOf = (model: Model): { rules: KeyRule[]; numLayers: number } => {
  const { definition, config, headType } = model
  const rules = modelKeys(definition, config, headType).map(({ module, ...rule }) =>
    module === undefined ? rule : { ...rule, theirs: module, alsoReads: [...(rule.alsoReads ?? []), rule.theirs] },
  )
  return { rules, numLayers: definition.facts(config).numLayers }
}

/** All linear layers of a model that are modules in transformers. */
export const namedLinears = (model: Model): NamedLinear[] => {
  const { rules, numLayers } = rulesOf(model)
  const modules = new Map<string, Module>(model.modules())
  return rules
    .filter(({ exact }) => !exact)
    .flatMap((rule) =>
      expandRules([rule], numLayers)
        .filter(({ theirs }) => theirs.endsWith('.weight'))
        .flatMap(({ ours, theirs, transposed, heads }) => {
          const parts = ours.flatMap((key) => {
            const path = key.slice(0, -'.weight'.length)
            const layer = modules.get(path)
            return layer instanceof Linear ? [{ path, layer }] : []
          })
          if (parts.length !== ours.length) return []
          const module = theirs.slice(0, -'.weight'.length)
          const numbered = rule.theirs.lastIndexOf('{i}.')
          const suffix = numbered < 0 ? module : rule.theirs.slice(numbered + '{i}.'.length)
          return [{ theirs: module, suffix, parts, transposed, heads }]
        }),
    )
}

/** Names of the modules of the token embeddings and of the output layer. */
export const tableNames = (model: Model): { embedding?: string; output?: string } => {
  const rules = expandRules(rulesOf(model).rules, 0)
  const named = (path: string) =>
    rules.find(({ ours }) => ours.length === 1 && ours[0] === path)?.theirs.replace(/\.weight$/, '')
  return { embedding: named(TABLE_PATH), output: named(TIED_PATH) }
}

/** The shortest `target_modules` that match exactly these layers of the model. */
export const targetModules = (model: Model, chosen: readonly NamedLinear[]): string[] => {
  const names = new Set(chosen.map(({ theirs }) => theirs))
  const { rules, numLayers } = rulesOf(model)
  // Norms and embeddings are modules too, and the pooler of a body exists in transformers whether we use it or not.
  const all = [...new Set(expandRules(rules, numLayers).map(({ theirs }) => theirs.replace(/\.(weight|bias)$/, '')))]
  const matches = (suffix: string) => all.filter((name) => name === suffix || name.endsWith(`.${suffix}`))
  return [
    ...new Set(
      chosen.map(({ theirs, suffix }) => {
        const exact = suffix.includes('.') || !/^(dense|output)$/.test(suffix)
        return exact && matches(suffix).every((name) => names.has(name)) ? suffix : theirs
      }),
    ),
  ]
}

/** Names for `modules_to_save`, which PEFT compares with the end of module names. */
export const modulesToSave = (model: Model, paths: Iterable<string>): string[] => {
  const { rules, numLayers } = rulesOf(model)
  const wanted = new Set(paths)
  const { hfPrefix } = model.definition
  const names = expandRules(rules, numLayers)
    .filter(({ ours }) => ours.some((path) => wanted.has(path)))
    .map(({ theirs }) => theirs.replace(/\.(weight|bias)$/, ''))
    // PEFT stores a classification head as a whole, under its name in the model.
    .map((name) => (hfPrefix !== '' && name.startsWith(hfPrefix) ? name : name.split('.')[0]))
  return [...new Set(names)]
}

/** Keys of the model's parameters in the modules that `modules_to_save` names. */
export const savedKeys = (model: Model, names: readonly string[]): string[] => {
  const { rules, numLayers } = rulesOf(model)
  const parameters = model.parameters()
  return expandRules(rules, numLayers)
    .filter(({ ours, theirs }) => {
      const module = `.${theirs.replace(/\.(weight|bias)$/, '')}.`
      return names.some((name) => module.includes(`.${name}.`)) && ours.every((path) => parameters.has(path))
    })
    .map(({ theirs }) => theirs)
}

/** `task_type` of PEFT by head. */
export const taskTypes: Partial<Record<HeadType, string>> = {
  'causal-lm': 'CAUSAL_LM',
  'seq2seq-lm': 'SEQ_2_SEQ_LM',
  'sequence-classification': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'question-answering': 'QUESTION_ANS',
  embedding: 'FEATURE_EXTRACTION',
}

/** The head for a `task_type`. */
export const headOfTask = (task: unknown): HeadType | undefined =>
  (Object.entries(taskTypes) as [HeadType, string][]).find(([, name]) => name === task)?.[0]

/** Splits the rows of a tensor among the parts of a fused layer. */
export const splitRows = (tensor: Tensor, { parts, heads }: NamedLinear): Tensor[] =>
  splitFused(tensor, parts.length, { rows: parts.map(({ layer }) => layer.shape[0]), heads })

/** Joins rows of the parts of a fused layer. */
export const joinRows = (rows: readonly Tensor[], { heads }: NamedLinear): Tensor => joinFused(rows, heads)

/**
 * Whether a module is adapted according to the file's fields; undefined if a regular expression or PEFT's version decides it.
 * @source peft/tuners/tuners_utils.py, check_target_module_exists
 */
export const isTargeted = ({ fields }: PeftFile, module: string): boolean | undefined => {
  const { target_modules, exclude_modules, layers_to_transform, layers_pattern, modules_to_save } = fields
  const ends = (names: unknown) =>
    Array.isArray(names) && names.some((name) => module === name || module.endsWith(`.${name}`))
  if (typeof target_modules === 'string' || typeof exclude_modules === 'string') return undefined
  if (!ends(target_modules) || ends(exclude_modules)) return false
  if (Array.isArray(modules_to_save) && modules_to_save.some((name) => `.${module}.`.includes(`.${name}.`)))
    return false
  const layers = [layers_to_transform ?? []].flat()
  if (layers.length === 0) return true
  const patterns = [layers_pattern ?? []].flat()
  if (!patterns.every((pattern) => typeof pattern === 'string' && /^[\w.]+$/.test(pattern))) return undefined
  const names = patterns.length === 0 ? '[^.]*' : `(?:${patterns.join('|')})`
  const [first, last] = ['.*?', '.*'].map((start) => {
    const before = patterns.length === 0 ? `${start}\\.` : `(?:${start}\\.)?`
    const number = new RegExp(`^${before}${names}\\.(\\d+)\\.`).exec(module)?.[1]
    return number !== undefined && layers.includes(Number(number))
  })
  // PEFT counts by the first number of a name, and did so by the last before its pull request 3318.
  return first === last ? first : undefined
}
