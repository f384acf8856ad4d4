// A body and a head together. Knows no architecture and no head by name.
import { ConfigError, didYouMean, parseConfig } from '../core/index.ts'
import { type KeyRule, Module } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import {
  type Head,
  type HeadEntries,
  type HeadEntry,
  type HeadOptions,
  type HeadType,
  headOptionsSchema,
  multipleChoice,
  reward,
} from './heads/index.ts'
import {
  type Body,
  type BodyFacts,
  type BodyInputs,
  type BodyOutputs,
  firstTokensOf,
  type ModelDefinition,
} from './model.ts'

export interface ModelOutputs extends BodyOutputs {
  /** What the head says; the head's own docs give the shape. */
  logits: Tensor
}

/** Parameters lie under `body.…` and `head.…`; a tied output matrix is the embedding's own tensor. */
export class Model<H extends Head = Head> extends Module {
  body: Body
  head: H
  readonly #facts: Readonly<ModelFacts>

  constructor(facts: ModelFacts, body: Body, head: H) {
    super()
    this.body = body
    this.head = head
    this.#facts = facts
  }

  /** Runs `check` once, before the body computes for the first time, whichever of its heads is used. */
  checkBeforeUse(check: () => void): void {
    pendingChecks.set(this.body, check)
  }

  /** Runs the pending check, if any; callers that use `body` directly call it first. */
  ready(): void {
    pendingChecks.get(this.body)?.()
    pendingChecks.delete(this.body)
  }

  get definition(): ModelDefinition {
    return this.#facts.definition
  }

  /** The architecture's own config. */
  get config(): object {
    return this.#facts.config
  }

  get headType(): HeadType {
    return this.#facts.headType
  }

  get headOptions(): HeadOptions {
    return this.#facts.headOptions
  }

  get facts(): BodyFacts {
    return this.definition.facts(this.config)
  }

  forward(inputs: BodyInputs): ModelOutputs {
    const { starts } = inputs
    const firsts = this.head.readsFirstsOnly && starts !== undefined
    const outputs = this.bodyForward(firsts ? { ...inputs, read: firstTokensOf(starts) } : inputs)
    return { ...outputs, logits: this.head.forward(outputs, inputs) }
  }

  /** The hidden states alone, of the batch as the head wants the body to see it. */
  bodyForward(inputs: BodyInputs): BodyOutputs {
    this.ready()
    const prepared = this.#facts.entry.prepare?.(inputs) ?? inputs
    return this.body.forward(this.head.bodyInputs(prepared))
  }
}

/** Checks of weights that were put off until they are read. */
const pendingChecks = new WeakMap<Body, () => void>()

interface ModelFacts {
  definition: ModelDefinition
  config: object
  headType: HeadType
  headOptions: HeadOptions
  entry: HeadEntry
}

/** Every head that an architecture can wear; those that follow from others are added here. */
export const headsOf = (definition: ModelDefinition, config: object): HeadEntries => {
  const own = definition.heads(config)
  const classifier = own['sequence-classification']
  const choice = multipleChoice(undefined, {
    pooling: definition.facts(config).causal ? 'last' : 'first',
    dropout: 0.1,
    output: 'score',
    bias: false,
  })
  return {
    ...(classifier === undefined ? {} : { reward: reward(classifier), 'multiple-choice': choice }),
    ...own,
  }
}

export const headEntry = (definition: ModelDefinition, config: object, head: HeadType): HeadEntry => {
  const entries = headsOf(definition, config)
  const entry = entries[head]
  if (entry === undefined)
    throw new ConfigError(
      `Expected a head that ${definition.type} has (${Object.keys(entries).join(', ')}), got "${head}".${didYouMean(head, Object.keys(entries))}`,
    )
  return entry
}

/** Builds a model with parameters that are not yet set: call `initialize`, or load a state. */
export const buildModel = (
  definition: ModelDefinition,
  config: object,
  head: HeadType,
  options: Partial<HeadOptions> = {},
): Model => {
  const headOptions = parseConfig(headOptionsSchema, options, 'head options')
  const entry = headEntry(definition, config, head)
  const body = definition.build(config, { encoderOnly: entry.encoderOnly })
  const built = entry.build(body, definition.facts(config), headOptions)
  return new Model({ definition, config, headType: head, headOptions, entry }, body, built)
}

/** Names of all parameters in the files of transformers, with `prefix` before the body's. */
export const modelKeys = (
  definition: ModelDefinition,
  config: object,
  head: HeadType,
  prefix = headEntry(definition, config, head).prefix ?? definition.hfPrefix,
): KeyRule[] => [
  ...definition.hfKeys(config).map((rule) => ({
    ...rule,
    ours: typeof rule.ours === 'string' ? `body.${rule.ours}` : rule.ours.map((path) => `body.${path}`),
    theirs: prefix + rule.theirs,
  })),
  ...headEntry(definition, config, head).keys,
]

/** Another head over the body of a model that is there; the head's own parameters are not yet set. @throws ConfigError where the body lacks what it needs */
export const withHead = (model: Model, head: HeadType, options: Partial<HeadOptions> = {}): Model => {
  const { definition, config, body } = model
  const headOptions = parseConfig(headOptionsSchema, options, 'head options')
  const [entry, present] = [headEntry(definition, config, head), headEntry(definition, config, model.headType)]
  if ((entry.encoderOnly ?? false) !== (present.encoderOnly ?? false))
    throw new ConfigError(
      `Expected a head over the same body as ${model.headType}, got ${head}: one of them does without the decoder. Open the model with that head.`,
    )
  const built = entry.build(body, definition.facts(config), headOptions)
  return new Model({ definition, config, headType: head, headOptions, entry }, body, built)
}
