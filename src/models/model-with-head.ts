// A model: a body and a head. Independent of architectures and heads.
import { ConfigError, didYouMean, parseConfig } from '../core/index.ts'
import { type KeyRule, Module } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import {
  type Head,
  type HeadEntries,
  type HeadEntry,
  type HeadOptions,
  HeadSet,
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
  layOutDropout,
  type ModelDefinition,
} from './model.ts'

/** Outputs of a forward pass. */
export interface ModelOutputs extends BodyOutputs {
  /** Outputs of the head, whose docs give the shape. */
  logits: Tensor
}

/** A model. Its parameters are `body.…` and `head.…`; a tied output matrix is the embedding's own tensor. */
export class Model<H extends Head = Head> extends Module {
  body: Body
  head: H
  #facts: Readonly<ModelFacts>

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

  /** Settings of the architecture. */
  get config(): object {
    return this.#facts.config
  }

  get headType(): HeadType {
    return this.#facts.headType
  }

  get headOptions(): HeadOptions {
    return this.#facts.headOptions
  }

  /** Sets the scale of rewards, which is measured after training and saved with the model. */
  setRewardScale(rewardScale: HeadOptions['rewardScale']): void {
    this.#facts = { ...this.#facts, headOptions: { ...this.headOptions, rewardScale } }
  }

  get facts(): BodyFacts {
    return this.definition.facts(this.config)
  }

  forward(inputs: BodyInputs): ModelOutputs {
    const { starts } = inputs
    const firsts = this.head.readsFirstsOnly && starts !== undefined
    const outputs = this.bodyForward(
      firsts ? { ...inputs, read: firstTokensOf(starts, inputs.inputIds.device) } : inputs,
    )
    return { ...outputs, logits: this.head.forward(outputs, inputs) }
  }

  /** The hidden states only, of the batch as the head passes it to the body. */
  bodyForward(inputs: BodyInputs): BodyOutputs {
    this.ready()
    const prepared = this.#facts.entry.prepare?.(inputs) ?? inputs
    const given = this.head.bodyInputs(prepared)
    // For bodies of users. Those of this folder do it again, as adapters may have added tokens.
    layOutDropout(given)
    return this.body.forward(given)
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

/** All heads of an architecture, those derived from others included. */
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

/** The head of an architecture by name. @throws ConfigError where it has none */
export const headEntry = (definition: ModelDefinition, config: object, head: HeadType): HeadEntry => {
  const entries = headsOf(definition, config)
  const entry = entries[head]
  if (entry === undefined)
    throw new ConfigError(
      `Expected a head that ${definition.type} has (${Object.keys(entries).join(', ')}), got "${head}".${didYouMean(head, Object.keys(entries))}`,
    )
  return entry
}

/**
 * Checked settings of a head. A classifier with one label gives a number unless `problemType` says otherwise, as in
 * transformers: the probability of an only class is always 1.
 */
const completeOptions = (entry: HeadEntry, options: Partial<HeadOptions>): HeadOptions => {
  const isNumber = entry.statesProblem === true && options.labels?.length === 1 && options.problemType === undefined
  return parseConfig(headOptionsSchema, isNumber ? { ...options, problemType: 'regression' } : options, 'head options')
}

/** Builds a model with undefined parameters: call `initialize`, or load a state. @throws ConfigError for a head that the architecture lacks */
export const buildModel = (
  definition: ModelDefinition,
  config: object,
  head: HeadType,
  options: Partial<HeadOptions> = {},
): Model => {
  const entry = headEntry(definition, config, head)
  const headOptions = completeOptions(entry, options)
  const body = definition.build(config, { encoderOnly: entry.encoderOnly })
  const built = entry.build(body, definition.facts(config), headOptions)
  return new Model({ definition, config, headType: head, headOptions, entry }, body, built)
}

/** Names of all parameters in Hugging Face checkpoints, with `prefix` before the body's. */
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

/** A model with the same body and another head on its device, whose parameters are undefined. @throws ConfigError where it needs another body */
export const withHead = (model: Model, head: HeadType, options: Partial<HeadOptions> = {}): Model => {
  const { definition, config, body } = model
  const [entry, present] = [headEntry(definition, config, head), headEntry(definition, config, model.headType)]
  const headOptions = completeOptions(entry, options)
  if ((entry.encoderOnly ?? false) !== (present.encoderOnly ?? false))
    throw new ConfigError(
      `Expected a head over the same body as ${model.headType}, got ${head}: one of them has no decoder. Load the model with that head.`,
    )
  const built = entry.build(body, definition.facts(config), headOptions)
  const { device } = body.embedTokens
  if (device !== 'cpu') built.to({ device })
  return new Model({ definition, config, headType: head, headOptions, entry }, body, built)
}

/**
 * The model that several models over one body are together, for training: its parameters are those of the body and, below `head.NAME`, of
 * each head. Each of the models computes with its own head. @throws ConfigError for models over different bodies
 */
export const joinHeads = (models: Readonly<Record<string, Model>>): Model<HeadSet> => {
  const all = Object.values(models)
  const [{ definition, config, body, headType, headOptions }] = all
  if (all.some((model) => model.body !== body))
    throw new ConfigError(
      'Expected models over one body, got different bodies. Make the further ones by `withHead` of the first.',
    )
  const heads = new HeadSet(Object.fromEntries(Object.entries(models).map(([name, { head }]) => [name, head])))
  return new Model(
    { definition, config, headType, headOptions, entry: headEntry(definition, config, headType) },
    body,
    heads,
  )
}
